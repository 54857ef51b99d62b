import Foundation
import Models
import Tensors
import Testing
import Tokenizers

@testable import Generation

/// The engine on the demo chat model.
@Suite("Generation with the demo model", .serialized, .timeLimit(.minutes(5)))
struct ChatModelTests {
  struct Golden: Decodable {
    struct Conversation: Decodable {
      var ids: [UInt32]
      var generated: [UInt32]
      var answer: String
    }
    var conversations: [Conversation]
  }

  private let model: CausalLanguageModel
  private let engine: GenerationEngine
  private let conversations: [Golden.Conversation]

  init() throws {
    model = try CausalLanguageModel(folder: Environment.chatModel, threads: ThreadPool())
    engine = try GenerationEngine(model: model, tokenizer: DemoChat.tokenizer.get())
    let url = URL(fileURLWithPath: "\(Environment.chatModel)/golden.json")
    conversations = try JSONDecoder().decode(Golden.self, from: Data(contentsOf: url)).conversations
    try #require(conversations.count >= 20)
  }

  private func answer(
    _ ids: [UInt32],
    _ sampling: SamplingParameters = .greedy,
    stop: [String] = []
  ) async throws -> (text: String, reason: FinishReason?, prompt: Int, completion: Int) {
    let request = try GenerationRequest(promptIDs: ids, sampling: sampling, stop: stop)
    return try await engine.generate(request).collect()
  }

  @Test("greedy answers equal those of transformers, one by one")
  func golden() async throws {
    for conversation in conversations {
      let result = try await answer(conversation.ids)
      #expect(result.text == conversation.answer && result.reason == .stop)
      #expect(result.prompt == conversation.ids.count)
      #expect(result.completion == conversation.generated.count)
    }
    await engine.shutdown()
  }

  @Test("all at once, eight of them in turns, the answers are the same")
  func parallel() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for conversation in conversations {
        group.addTask {
          let result = try await answer(conversation.ids)
          #expect(result.text == conversation.answer)
        }
      }
      try await group.waitForAll()
    }
    #expect(engine.status.finishedByStop == conversations.count)
    await engine.shutdown()
  }

  @Test("a seed gives the same answer, alone or beside others; other seeds give others")
  func seeds() async throws {
    let ids = conversations[0].ids
    func sample(_ seed: UInt64) async throws -> String {
      try await answer(
        ids,
        SamplingParameters(temperature: 2, seed: seed)
      ).text
    }
    let alone = try await sample(1)
    try await withThrowingTaskGroup(of: (UInt64, String).self) { group in
      for seed: UInt64 in 1...6 { group.addTask { (seed, try await sample(seed)) } }
      var texts: Set<String> = []
      for try await (seed, text) in group {
        texts.insert(text)
        if seed == 1 { #expect(text == alone) }
      }
      #expect(texts.count > 1)
    }
    await engine.shutdown()
  }

  @Test("an answer is cut before a stop text, wherever the tokens end")
  func stopTexts() async throws {
    let conversation = conversations[0]
    let middle = String(conversation.answer.dropFirst(40).prefix(9))
    let result = try await answer(conversation.ids, stop: [middle, "never in it"])
    let range = try #require(conversation.answer.range(of: middle))
    #expect(result.text == String(conversation.answer[..<range.lowerBound]))
    #expect(result.reason == .stop && result.completion < conversation.generated.count)
    await engine.shutdown()
  }

  @Test("a generation that is given up frees its place at once")
  func cancellation() async throws {
    await engine.shutdown()
    // No generation can end before it is given up: nobody reads.
    var limits = EngineLimits()
    limits.bufferedEventsMax = 2
    let engine = try GenerationEngine(
      model: model,
      tokenizer: DemoChat.tokenizer.get(),
      limits: limits
    )
    let request = try GenerationRequest(promptIDs: conversations[0].ids, sampling: .greedy)
    let streams = try (0..<8).map { _ in try engine.generate(request) }
    await eventually("all run") { engine.status.running == 8 }
    for stream in streams { stream.cancel() }
    let other = try GenerationRequest(promptIDs: conversations[1].ids, sampling: .greedy)
    #expect(try await engine.generate(other).collect().text == conversations[1].answer)
    #expect(engine.status.cancelled == 8 && engine.status.running == 0)
    await engine.shutdown()
  }
}
