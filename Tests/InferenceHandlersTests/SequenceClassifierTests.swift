import Checkpoints
import InferenceHandlers
import Testing

@Suite("Scores of labels")
struct SequenceClassifierTests {
  @Test("scores are ranked, equal ones in the order of the labels")
  func ranks() {
    let labels = ["a", "b", "c", "d"]
    let all = LabelScore.ranked(labels, [0.25, 0.5, 0.25, -1], topK: nil)
    #expect(all.map(\.label) == ["b", "a", "c", "d"])
    #expect(LabelScore.ranked(labels, [1, 2, 3, 4], topK: 2).map(\.label) == ["d", "c"])
    #expect(LabelScore.ranked(labels, [1, 2, 3, 4], topK: 9).count == 4)
    #expect(LabelScore.ranked([], [], topK: 1).isEmpty)
  }

  @Test("functions do not overflow")
  func functions() {
    let logits: [Float] = [1000, 0, -1000]
    #expect(ScoreFunction.softmax.scores(of: logits) == [1, 0, 0])
    #expect(ScoreFunction.sigmoid.scores(of: logits) == [1, 0.5, 0])
    #expect(ScoreFunction.none.scores(of: logits) == logits)
    let sum = ScoreFunction.softmax.scores(of: [0.1, 0.2, 0.3]).reduce(0, +)
    #expect(abs(sum - 1) < 1e-6)
  }

  @Test("the configuration implies the function as in transformers")
  func implied() {
    #expect(ScoreFunction.implied(by: nil, labelCount: 2) == .softmax)
    #expect(ScoreFunction.implied(by: nil, labelCount: 1) == .sigmoid)
    #expect(ScoreFunction.implied(by: .regression, labelCount: 1) == .none)
    #expect(ScoreFunction.implied(by: .regression, labelCount: 3) == .none)
    #expect(ScoreFunction.implied(by: .multiLabel, labelCount: 3) == .sigmoid)
    #expect(ScoreFunction.implied(by: .singleLabel, labelCount: 3) == .softmax)
    #expect(ScoreFunction.implied(by: .singleLabel, labelCount: 1) == .sigmoid)
  }
}
