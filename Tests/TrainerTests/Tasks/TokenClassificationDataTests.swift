import Models
import Testing
import Tokenizers

@testable import Trainer

@Suite("Rows of token classification")
struct TokenClassificationDataTests {
  private func read(
    _ input: TrainingInput,
    tokensMax: Int = 128,
    settings: [String: String] = [:]
  ) throws -> TaskData {
    let context = TaskContext(
      tokenizer: try Environment.entityTokenizer(),
      configuration: try TrainingConfiguration(task: .ner, settings: settings),
      tokensMax: tokensMax,
      isCancelled: { false }
    )
    return try TaskData.tokenClassification(input, context)
  }

  private func row(_ tokens: [String], _ tags: [String]) -> String {
    "{\"tokens\": \(tokens), \"tags\": \(tags)}"
  }

  @Test("the first token of each word has the label, the others none")
  func labels() throws {
    let words = ["Saunders", "visited", "Llanfairpwll"]
    let data = try read(
      TrainingInput(train: RowList([row(words, ["B-PER", "O", "B-LOC"])]))
    )
    #expect(data.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])
    #expect(data.isEntities)
    let examples = try data.train.examples(epoch: 0)
    let tokenizer = try Environment.entityTokenizer()
    let tokens = examples.ids.map { tokenizer.token(of: $0) ?? "" }
    #expect(tokens.first == "[CLS]" && tokens.last == "[SEP]")
    let labelled = zip(tokens, examples.labels).filter { $0.1 != ExampleSet.ignored }
    #expect(labelled.map(\.1) == [3, 0, 1])
    #expect(labelled.allSatisfy { !$0.0.hasPrefix("##") })
    #expect(tokens.contains { $0.hasPrefix("##") })
  }

  @Test("long rows are cut with the special tokens inside the limit, and counted")
  func truncation() throws {
    let words = Array(repeating: "London", count: 20)
    let tags = Array(repeating: "B-LOC", count: 20)
    let data = try read(TrainingInput(train: RowList([row(words, tags)])), tokensMax: 10)
    let examples = try data.train.examples(epoch: 0)
    #expect(examples.ids.count == 10)
    #expect(examples.labels.filter { $0 != ExampleSet.ignored }.count == 8)
    #expect(data.summary.truncated == ["train": 1])
    #expect(data.summary.unlabelledWords["train"] == 12)
  }

  @Test("tags that training does not have stay what they are for the scores, and are reported")
  func unseen() throws {
    let data = try read(
      TrainingInput(
        train: RowList([row(["Rome"], ["B-LOC"])]),
        dev: RowList([row(["Bob", "Rome"], ["B-PER", "B-LOC"])]),
        test: RowList([row(["Acme", "Bob"], ["B-ORG", "B-PER"])])
      )
    )
    #expect(data.labels == ["O", "B-LOC", "I-LOC"])
    #expect(data.unseenLabels == ["B-PER", "B-ORG"])
    let dev = try #require(data.dev)
    #expect(dev.labels.filter { $0 != ExampleSet.ignored } == [3, 1])
    #expect(data.test?.labels.filter { $0 != ExampleSet.ignored } == [4, 3])
    #expect(data.known(dev.batch([0])).labels.filter { $0 != ExampleSet.ignored } == [1])
    #expect(data.summary.unseenLabels == ["dev": 1, "test": 2])
    #expect(data.summary.unseenNames == ["B-PER", "B-ORG"])
  }

  @Test("IOB1 rows are learned as IOB2, in every split")
  func iob1() throws {
    let data = try read(
      TrainingInput(
        train: RowList([row(["New", "York"], ["I-LOC", "I-LOC"])]),
        dev: RowList([row(["in", "Rome"], ["O", "I-LOC"])])
      )
    )
    #expect(data.summary.tagScheme == "IOB1")
    let train = try data.train.examples(epoch: 0)
    #expect(train.labels.filter { $0 != ExampleSet.ignored } == [1, 2])
    #expect(data.dev?.labels.filter { $0 != ExampleSet.ignored } == [0, 1])
  }

  @Test(
    "a bad row is refused with its number and the reason",
    arguments: [
      ("{\"tokens\": [\"a\"], \"tags\": []}", "train row 2 has 1 tokens and 0 tags"),
      ("{\"tokens\": []", "train row 2 is not JSON"),
      ("[1]", "train row 2 is an array, not an object"),
      ("{\"tokens\": [\"a\"]}", "train row 2 has no tags"),
      ("{\"tokens\": [], \"tags\": []}", "train row 2 has no tokens"),
      ("{\"tokens\": [\"a\"], \"tags\": [3]}", "train row 2 has tags[0] that is a number"),
      ("{\"tokens\": [\"a\"], \"tags\": [\"\"]}", "train row 2 has a tag of 0 bytes"),
    ]
  )
  func badRows(_ text: String, _ message: String) {
    let error = trainerError {
      _ = try read(TrainingInput(train: RowList([row(["a"], ["B-X"]), text])))
    }
    #expect(error?.code == .invalidData)
    #expect(error?.message.hasPrefix(message) == true, "\(error?.message ?? "")")
  }

  @Test("splits without rows and labels without a choice are refused")
  func empty() {
    let rows = RowList([row(["a"], ["B-X"])])
    let noRows = trainerError { _ = try read(TrainingInput(train: RowList([]))) }
    #expect(noRows?.message == "the train split has no rows")
    let noDev = trainerError { _ = try read(TrainingInput(train: rows, dev: RowList([]))) }
    #expect(noDev?.message == "the dev split has no rows")
    let outside = trainerError {
      _ = try read(TrainingInput(train: RowList([row(["a"], ["O"])])))
    }
    #expect(outside?.message.contains("1 labels") == true)
  }

  @Test("the digest follows the rows, their order and their split")
  func digest() throws {
    let (a, b) = (row(["a"], ["B-X"]), row(["b"], ["O"]))
    let digests = try [
      TrainingInput(train: RowList([a, b])), TrainingInput(train: RowList([b, a])),
      TrainingInput(train: RowList([a, b]), dev: RowList([a])),
      TrainingInput(train: RowList([a]), dev: RowList([b])),
    ].map { try read($0).digest }
    #expect(Set(digests).count == digests.count)
    #expect(try read(TrainingInput(train: RowList([a, b]))).digest == digests[0])
  }

  @Test("as many rows of dev are read as asked")
  func devRows() throws {
    let rows = RowList((0..<10).map { _ in row(["a"], ["B-X"]) })
    let data = try read(TrainingInput(train: rows, dev: rows), settings: ["devRowsMax": "4"])
    #expect(data.dev?.count == 4)
  }
}
