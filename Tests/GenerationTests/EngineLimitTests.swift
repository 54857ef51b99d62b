import Models
import Tensors
import Testing
import Tokenizers

@testable import Generation

@Suite("Limits of the engine", .timeLimit(.minutes(5)))
struct EngineLimitTests {
  /// A model that writes "a" for ever.
  private func endless(contextTokens: Int = 200) throws -> ScriptedModel {
    let a = try #require(DemoChat.tokenizer.get().id(of: "a"))
    return ScriptedModel(contextTokens: contextTokens) { _ in a }
  }

  private func engine(
    _ model: ScriptedModel,
    counters: EngineCounters = EngineCounters(),
    _ change: (inout EngineLimits) -> Void = { _ in }
  ) throws -> GenerationEngine {
    var limits = EngineLimits()
    change(&limits)
    return try GenerationEngine(
      model,
      tokenizer: DemoChat.tokenizer.get(),
      limits: limits,
      counters: counters
    )
  }

  private func request(_ prompt: [UInt32], maxTokens: Int? = nil) throws -> GenerationRequest {
    try GenerationRequest(promptIDs: prompt, sampling: .greedy, maxTokens: maxTokens)
  }

  @Test("a reader that takes nothing loses its place")
  func stalledReader() async throws {
    let model = try endless()
    let engine = try engine(model) {
      $0.activeMax = 1
      $0.bufferedEventsMax = 4
      $0.stallMax = .milliseconds(20)
    }
    let stalled = try engine.generate(request([10]))
    await eventually("it is given up") { engine.status.failed == 1 }
    #expect(model.calls(10) == 4 && engine.status.running == 0)
    var text = ""
    let error = await #expect(throws: GenerationError.self) {
      for try await case .text(let piece) in stalled { text += piece }
    }
    #expect(error?.code == .readerStalled && text == "aaaa")
    #expect(try await engine.generate(request([11], maxTokens: 3)).collect().text == "aaa")
  }

  @Test(
    "a sequence starts when its cache fits beside the others, and none is longer than fits alone"
  )
  func cacheBytes() async throws {
    let model = try endless()
    let engine = try engine(model) { $0.cacheBytesMax = 10 * model.cacheBytesPerToken }
    let long = try await engine.generate(request([10])).collect()
    #expect(long.completion == 9 && long.reason == .length)
    let error = #expect(throws: GenerationError.self) {
      try engine.generate(request([UInt32](repeating: 10, count: 10)))
    }
    #expect(error?.code == .contextExceeded)

    model.stall(11)
    let first = try engine.generate(request([11], maxTokens: 5))
    await eventually("the step stalls") { model.state.withLock { $0.isStalling } }
    let others = try (0..<3).map { _ in try engine.generate(request([12], maxTokens: 5)) }
    model.resume(11)
    #expect(try await first.collect().text == "aaaaa")
    for stream in others { #expect(try await stream.collect().text == "aaaaa") }
    #expect(model.state.withLock { $0.sequencesMost } == 1)
  }

  @Test("a sequence that the system has no memory for is refused as overload")
  func memory() async throws {
    let model = try endless()
    let engine = try engine(model)
    model.state.withLock { $0.isFull = true }
    let error = await #expect(throws: GenerationError.self) {
      try await engine.generate(request([10])).collect()
    }
    #expect(error?.code == .overloaded && error?.cause is ModelError)
  }

  @Test("what a generation took is told, and its cache is reserved while it runs")
  func observations() async throws {
    let told = Monitor([EngineObservation]())
    let counters = EngineCounters { observation in told.withLock { $0.append(observation) } }
    let model = try endless()
    let engine = try engine(model, counters: counters)
    model.stall(10)
    let stream = try engine.generate(request([10, 10, 10], maxTokens: 4))
    await eventually("the step stalls") { model.state.withLock { $0.isStalling } }
    #expect(engine.status.cacheBytesReserved == 7 * model.cacheBytesPerToken)
    model.resume(10)
    _ = try await stream.collect()
    await engine.shutdown()
    #expect(engine.status.cacheBytesReserved == 0 && engine.status.running == 0)

    let observations = told.withLock { $0 }
    var durations: [Duration] = []
    var rounds: [Int] = []
    var kinds = ""
    for observation in observations {
      switch observation {
      case .started(let queued):
        kinds += "s"
        #expect(queued >= .zero)
      case .firstToken(let duration):
        kinds += "f"
        durations.append(duration)
      case .nextToken(let duration):
        kinds += "n"
        durations.append(duration)
      case .round(let tokens):
        kinds += "r"
        rounds.append(tokens)
      case .finished(let figures):
        kinds += "e"
        #expect(figures.promptTokens == 3 && figures.completionTokens == 4)
        #expect(figures.queued + figures.prefill == durations[0])
        #expect(figures.decode == durations[1...].reduce(.zero, +))
      }
    }
    #expect(kinds == "sfrnrnrner" && rounds == [4, 1, 1, 1])
  }

  @Test("a generation that fails or is given up frees its cache and has no figures")
  func observationsOfFailures() async throws {
    let finished = Monitor(0)
    let counters = EngineCounters { observation in
      if case .finished = observation { finished.withLock { $0 += 1 } }
    }
    let a = try #require(DemoChat.tokenizer.get().id(of: "a"))
    let model = ScriptedModel(contextTokens: 200) { $0.count < 5 ? a : nil }
    let engine = try engine(model, counters: counters)
    await #expect(throws: GenerationError.self) {
      try await engine.generate(request([10])).collect()
    }
    model.stall(11)
    let stream = try engine.generate(request([11]))
    await eventually("the step stalls") { model.state.withLock { $0.isStalling } }
    stream.cancel()
    model.resume(11)
    await eventually("it is given up") { engine.status.cancelled == 1 }
    #expect(engine.status.cacheBytesReserved == 0 && engine.status.failed == 1)
    #expect(finished.withLock { $0 } == 0)
  }

  @Test("counts outlive the engine")
  func counters() async throws {
    let counters = EngineCounters()
    for round in 1...3 {
      let engine = try engine(try endless(), counters: counters)
      _ = try await engine.generate(request([10], maxTokens: 5)).collect()
      #expect(counters.value.generatedTokens == 5 * round)
      await engine.shutdown()
    }
    #expect(counters.value.finishedByLength == 3 && counters.value.running == 0)
  }
}
