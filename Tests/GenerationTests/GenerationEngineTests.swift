import Tensors
import Testing
import Tokenizers

@testable import Generation

@Suite("Generation engine", .timeLimit(.minutes(5)))
struct GenerationEngineTests {
  /// The ids of letters in the demo vocabulary.
  private static func id(_ token: String) throws -> UInt32 {
    try #require(DemoChat.tokenizer.get().id(of: token))
  }

  private func engine(
    _ model: ScriptedModel,
    _ change: (inout EngineLimits) -> Void = { _ in }
  ) throws -> GenerationEngine {
    var limits = EngineLimits()
    change(&limits)
    return try GenerationEngine(model, tokenizer: DemoChat.tokenizer.get(), limits: limits)
  }

  private func request(
    _ prompt: [UInt32],
    maxTokens: Int? = nil,
    stop: [String] = []
  ) throws -> GenerationRequest {
    try GenerationRequest(promptIDs: prompt, sampling: .greedy, maxTokens: maxTokens, stop: stop)
  }

  /// A model that writes "a" for ever.
  private func endless(
    contextTokens: Int = 64,
    prefillTokensMax: Int = 256
  ) throws -> ScriptedModel {
    let a = try Self.id("a")
    return ScriptedModel(contextTokens: contextTokens, prefillTokensMax: prefillTokensMax) { _ in a
    }
  }

  @Test("max tokens, the end of the context, the end token and stop texts end a generation")
  func ends() async throws {
    let a = try Self.id("a")
    let b = try Self.id("b")
    let model = ScriptedModel { tokens in
      tokens[0] == 11 && tokens.count == 6 ? 2 : tokens.count % 4 == 0 ? b : a
    }
    let engine = try engine(model)
    var result = try await engine.generate(request([10, 10], maxTokens: 5)).collect()
    #expect(result == ("aabaa", .length, 2, 5))
    result = try await engine.generate(request([10, 10])).collect()
    #expect(result.reason == .length && result.completion == 62 && result.text.count == 62)
    result = try await engine.generate(request([10, 10], maxTokens: 1000)).collect()
    #expect(result.completion == 62)
    result = try await engine.generate(request([11, 10])).collect()
    #expect(result == ("aaba", .stop, 2, 5))
    result = try await engine.generate(request([10, 10], stop: ["x", "baa"])).collect()
    #expect(result == ("aa", .stop, 2, 5))
    // Held back for a stop text that does not come.
    result = try await engine.generate(request([10, 10], maxTokens: 3, stop: ["bb"])).collect()
    #expect(result == ("aab", .length, 2, 3))
    let status = engine.status
    #expect(status.finishedByStop == 2 && status.finishedByLength == 4)
    #expect(status.running == 0 && status.waiting == 0 && status.promptTokens == 12)
    #expect(status.generatedTokens == 5 + 62 + 62 + 5 + 5 + 3)
    await engine.shutdown()
  }

  @Test("characters of several tokens come whole, and a cut one as U+FFFD")
  func characters() async throws {
    let tokens = try DemoChat.tokenizer.get().encode("é😀")[0].ids
    try #require(tokens.count > 2)
    let model = ScriptedModel { $0.count <= tokens.count ? tokens[$0.count - 1] : 2 }
    let engine = try engine(model)
    #expect(try await engine.generate(request([9])).collect().text == "é😀")
    let cut = try await engine.generate(request([9], maxTokens: tokens.count - 1)).collect()
    #expect(cut.text == "é\u{FFFD}" && cut.reason == .length)
  }

  @Test("requests that cannot be run are refused before they are queued")
  func refuses() async throws {
    func refusal(_ body: () throws -> Void) -> GenerationError? {
      #expect(throws: GenerationError.self) { try body() }
    }
    #expect(refusal { _ = try request([]) }?.message == "the prompt is empty")
    #expect(refusal { _ = try request([1], maxTokens: 0) }?.message.hasPrefix("max_tokens") == true)
    #expect(refusal { _ = try request([1], stop: [""]) }?.message.hasPrefix("stop text 0") == true)
    let long = String(repeating: "é", count: 257)
    #expect(refusal { _ = try request([1], stop: ["a", long]) }?.code == .invalidArgument)
    let many = [String](repeating: "a", count: 17)
    #expect(refusal { _ = try request([1], stop: many) }?.message.contains("17 texts") == true)
    _ = try request([1], stop: [String](repeating: String(repeating: "é", count: 256), count: 16))

    let engine = try engine(try endless())
    let tooLong = [UInt32](repeating: 5, count: 64)
    let error = refusal { _ = try engine.generate(request(tooLong)) }
    #expect(error?.code == .contextExceeded && error?.message.contains("64 tokens") == true)
    let outside = refusal { _ = try engine.generate(request([5, 4096])) }
    #expect(outside?.code == .invalidArgument)
    #expect(outside?.message == "prompt token 1 is 4096; the vocabulary has 4096 tokens")
    let last = try await engine.generate(request([UInt32](repeating: 5, count: 63))).collect()
    #expect(last == ("a", .length, 63, 1))
  }

  @Test("a queue that is full refuses; places in it and among the running are taken again")
  func overload() async throws {
    let model = try endless()
    let engine = try engine(model) {
      $0.activeMax = 2
      $0.waitingMax = 3
    }
    model.stall(10)
    let running = try engine.generate(request([10], maxTokens: 2))
    await eventually("the step stalls") { model.state.withLock { $0.isStalling } }
    let waiting = try (0..<3).map { _ in try engine.generate(request([11], maxTokens: 2)) }
    #expect(engine.status.waiting == 3 && engine.status.running == 1)
    let error = #expect(throws: GenerationError.self) { try engine.generate(request([11])) }
    #expect(error?.code == .overloaded && engine.status.refused == 1)
    waiting[1].cancel()
    let replacement = try engine.generate(request([12], maxTokens: 1))
    model.resume(10)
    for stream in [running, waiting[0], waiting[2]] {
      #expect(try await stream.collect().text == "aa")
    }
    #expect(try await replacement.collect().text == "a")
    #expect(engine.status.cancelled == 1 && engine.status.finishedByLength == 4)
  }

  @Test("cancelling the reading task ends its generation within one step")
  func cancelTask() async throws {
    let model = try endless(contextTokens: 1_000_000)
    let engine = try engine(model)
    let stream = try engine.generate(request([10]))
    let task = Task { for try await _ in stream {} }
    await eventually("it runs") { model.calls(10) > 20 }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    let calls = model.calls(10)
    await eventually("it is gone") { engine.status.running == 0 }
    #expect(model.calls(10) <= calls + 1)
    #expect(engine.status.cancelled == 1 && model.state.withLock { $0.sequences } == 0)
    await #expect(throws: CancellationError.self) { for try await _ in stream {} }
  }

  @Test("dropping a stream ends its generation, read or not, while it waits or runs")
  func dropStream() async throws {
    let model = try endless(contextTokens: 1_000_000)
    let engine = try engine(model) { $0.activeMax = 1 }
    do {
      var iterator = try engine.generate(request([10])).makeAsyncIterator()
      _ = try await iterator.next()
      let queued = try engine.generate(request([11]))
      #expect(engine.status.waiting == 1)
      withExtendedLifetime((iterator, queued)) {}
    }
    await eventually("both are gone") { engine.status.cancelled == 2 }
    #expect(engine.status.running == 0 && engine.status.waiting == 0 && model.calls(11) == 0)
    #expect(try await engine.generate(request([12], maxTokens: 3)).collect().text == "aaa")
  }

  @Test("a slow reader pauses its own generation only, and loses nothing")
  func slowReader() async throws {
    let model = try endless(contextTokens: 200)
    let engine = try engine(model) { $0.bufferedEventsMax = 4 }
    let slow = try engine.generate(request([10]))
    await eventually("the buffer is full") { model.calls(10) == 4 }
    let fast = try await engine.generate(request([11])).collect()
    #expect(fast.text.count == 199 && model.calls(10) == 4 && engine.status.running == 1)
    let all = try await slow.collect()
    #expect(all.text.count == 199 && all.reason == .length && model.calls(10) == 199)
  }

  @Test("an engine with nothing to do does nothing")
  func idle() async throws {
    let model = try endless(contextTokens: 200)
    let engine = try engine(model) { $0.bufferedEventsMax = 4 }
    // The last round may begin after what it does is seen; a busy loop makes thousands in 50 ms.
    func isQuiet() async -> Bool {
      let rounds = engine.core.control.withLock { $0.rounds }
      let end = ContinuousClock.now + .milliseconds(50)
      while ContinuousClock.now < end { await Task.yield() }
      return engine.core.control.withLock { $0.rounds } <= rounds + 2
    }
    #expect(await isQuiet())
    let paused = try engine.generate(request([10]))
    await eventually("the buffer is full") { model.calls(10) == 4 }
    #expect(await isQuiet())
    paused.cancel()
    await eventually("it is gone") { engine.status.running == 0 }
    #expect(await isQuiet())
  }

  @Test("an error of the model ends its sequence only")
  func failure() async throws {
    let a = try Self.id("a")
    let model = ScriptedModel { $0[0] == 13 && $0.count == 4 ? nil : a }
    let engine = try engine(model)
    let good = try engine.generate(request([10], maxTokens: 20))
    let bad = try engine.generate(request([13]))
    var text = ""
    let error = await #expect(throws: GenerationError.self) {
      for try await case .text(let piece) in bad { text += piece }
    }
    #expect(error?.code == .modelFailure && error?.cause is ScriptedModel.Failure && text == "aaa")
    #expect(try await good.collect().text.count == 20)
    #expect(engine.status.failed == 1 && engine.status.running == 0)
  }

  @Test("long prompts run in pieces, between the steps of others")
  func prefill() async throws {
    let model = try endless(contextTokens: 2000, prefillTokensMax: 100)
    let engine = try engine(model)
    let result = try await engine.generate(
      request([UInt32](repeating: 10, count: 1050), maxTokens: 2)
    ).collect()
    #expect(result == ("aa", .length, 1050, 2))
    #expect(model.calls(10) == 12 && model.state.withLock { $0.largestPass } == 100)
    #expect(engine.status.steps == 12 && engine.status.promptTokens == 1050)
  }

  @Test("shutting down ends what runs and what waits, and refuses what comes")
  func shutdown() async throws {
    let model = try endless(contextTokens: 1_000_000)
    let engine = try engine(model) { $0.activeMax = 1 }
    let streams = try (10..<14).map { try engine.generate(request([$0])) }
    async let ended: Void = engine.shutdown()
    for stream in streams {
      let error = await #expect(throws: GenerationError.self) { for try await _ in stream {} }
      #expect(error?.code == .shutDown)
    }
    await ended
    await engine.shutdown()
    let error = #expect(throws: GenerationError.self) { try engine.generate(request([10])) }
    #expect(error?.code == .shutDown && engine.status.running == 0 && engine.status.waiting == 0)
    #expect(model.state.withLock { $0.sequences } == 0)
  }

  @Test("a dropped engine ends like one that is shut down")
  func dropEngine() async throws {
    let model = try endless(contextTokens: 1_000_000)
    var engine: GenerationEngine? = try engine(model)
    let stream = try #require(try engine?.generate(request([10])))
    engine = nil
    let error = await #expect(throws: GenerationError.self) { for try await _ in stream {} }
    #expect(error?.code == .shutDown)
  }

  @Test("many requests from many tasks, some given up: every one ends, none is mixed up")
  func stress() async throws {
    let letters = try "abcdefgh".map { try Self.id(String($0)) }
    let model = ScriptedModel(contextTokens: 256) { letters[Int($0[0]) - 10] }
    let engine = try engine(model) { $0.bufferedEventsMax = 3 }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for worker in 0..<8 {
        group.addTask {
          let letter = "abcdefgh".map { String($0) }[worker]
          for round in 0..<25 {
            let request = try GenerationRequest(
              promptIDs: [UInt32(10 + worker)],
              sampling: .greedy,
              maxTokens: 5 + round
            )
            let stream = try engine.generate(request)
            if round % 3 == 0 {
              var count = 0
              for try await _ in stream {
                count += 1
                if count > round % 7 { break }
              }
            } else {
              let text = try await stream.collect().text
              #expect(text == String(repeating: letter, count: 5 + round))
            }
          }
        }
      }
      try await group.waitForAll()
    }
    await eventually("all have ended") { engine.status.running == 0 && engine.status.waiting == 0 }
    let status = engine.status
    #expect(status.finishedByLength + status.cancelled == 200 && status.failed == 0)
    await engine.shutdown()
    #expect(model.state.withLock { $0.sequences } == 0)
  }
}
