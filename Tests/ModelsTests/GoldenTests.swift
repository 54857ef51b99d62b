import Checkpoints
import Tensors
import Testing

@testable import Models

@Suite("Models compute what transformers does")
struct GoldenTests {
  @Test("A decoder's logits after each golden prompt")
  func decoderLogits() throws {
    let model = try CausalLanguageModel(folder: Fixtures.supportChat, threads: ThreadPool())
    let golden = try Fixtures.golden(ChatGolden.self, in: Fixtures.supportChat)
    var compared = 0
    for conversation in golden.conversations {
      guard let expected = conversation.lastLogits else { continue }
      let sequence = try model.makeSequence(capacityTokens: conversation.ids.count)
      var logits: [Float] = []
      try model.forward(conversation.ids, in: sequence, logits: &logits)
      #expect(maximumDifference(logits, expected) < Fixtures.tolerance)
      compared += 1
    }
    #expect(compared >= 6)
  }

  @Test("Greedy decoding gives the golden ids of every conversation")
  func greedyDecoding() throws {
    let model = try CausalLanguageModel(folder: Fixtures.supportChat, threads: ThreadPool())
    let golden = try Fixtures.golden(ChatGolden.self, in: Fixtures.supportChat)
    #expect(golden.conversations.count == 28)
    for conversation in golden.conversations {
      let sequence = try model.makeSequence(capacityTokens: model.configuration.contextTokens)
      var logits: [Float] = []
      try model.forward(conversation.ids, in: sequence, logits: &logits)
      var generated: [UInt32] = []
      while generated.count < conversation.generated.count + 8 {
        let token = UInt32(argmax(logits))
        generated.append(token)
        if model.configuration.endOfSequenceIDs.contains(token) { break }
        try model.forward([token], in: sequence, logits: &logits)
      }
      #expect(generated == conversation.generated)
    }
  }

  @Test("A token classifier's logits of every golden sentence")
  func classifierLogits() throws {
    let model = try TokenClassificationModel(folder: Fixtures.nerWikiann, threads: ThreadPool())
    let golden = try Fixtures.golden([SentenceGolden].self, in: Fixtures.nerWikiann)
    #expect(model.labels.count == 7)
    for sentence in golden {
      let logits = try model.logits(sentence.ids)
      #expect(maximumDifference(logits, sentence.logits.flatMap { $0 }) < Fixtures.tolerance)
    }
  }

  private func argmax(_ logits: [Float]) -> Int {
    logits.indices.max { logits[$0] < logits[$1] } ?? 0
  }
}
