import Models
import Testing
import Tokenizers

@testable import Trainer

@Suite("Rows of sequence classification")
struct SequenceClassificationDataTests {
  private func read(_ input: TrainingInput) throws -> TaskData {
    let context = TaskContext(
      tokenizer: try Environment.entityTokenizer(),
      configuration: try TrainingConfiguration(task: .classify, settings: [:]),
      tokensMax: 16,
      isCancelled: { false }
    )
    return try TaskData.sequenceClassification(input, context)
  }

  private func rows(_ labels: [String]) -> RowList {
    RowList(labels.map { "{\"text\": \"a word\", \"label\": \"\($0)\"}" })
  }

  private func labels(_ examples: ExampleSet?) -> [UInt32]? {
    examples?.labels.filter { $0 != ExampleSet.ignored }
  }

  @Test("the first token has the label, whose number follows the order of names")
  func known() throws {
    let data = try read(TrainingInput(train: rows(["b", "a", "b"]), dev: rows(["b", "a"])))
    #expect(data.labels == ["a", "b"])
    let train = try data.train.examples(epoch: 0)
    #expect(labels(train) == [1, 0, 1])
    #expect(train.labels[train.range(1).lowerBound] == 0)
    #expect(labels(data.dev) == [1, 0])
    #expect(data.unseenLabels.isEmpty && data.summary.unseenLabels.isEmpty)
  }

  @Test("rows with labels that training does not have are kept for the scores, and reported")
  func unseen() throws {
    let data = try read(
      TrainingInput(train: rows(["a", "b"]), dev: rows(["x", "y", "x"]), test: rows(["y", "a"]))
    )
    #expect(data.labels == ["a", "b"])
    #expect(data.unseenLabels == ["x", "y"])
    #expect(labels(data.dev) == [2, 3, 2])
    #expect(labels(data.test) == [3, 0])
    #expect(data.known(try #require(data.dev).batch([0])).labels.allSatisfy { $0 == .max })
    #expect(data.summary.rows == ["train": 2, "dev": 3, "test": 2])
    #expect(data.summary.unseenLabels == ["dev": 3, "test": 1])
    #expect(data.summary.unseenNames == ["x", "y"])
    #expect(data.summary.notices(tokensMax: 16).contains { $0.hasPrefix("dev: 3 labels") })
  }
}
