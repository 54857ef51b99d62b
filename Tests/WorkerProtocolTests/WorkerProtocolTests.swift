import Testing
import WorkerProtocol

@Suite struct LineSplitterTests {
  private func lines(_ parts: [String], bytesMax: Int = 8) -> ([String], LineSplitter) {
    var splitter = LineSplitter(lineBytesMax: bytesMax)
    var lines = parts.flatMap { splitter.lines(adding: $0.utf8) }
    if let last = splitter.end() { lines.append(last) }
    return (lines.map { String(decoding: $0, as: UTF8.self) }, splitter)
  }

  @Test func `Lines come out whole, however the bytes were cut`() {
    #expect(lines(["a\nbb", "b\n\n", "c", "\n"]).0 == ["a", "bbb", "c"])
    #expect(lines(["without an end"], bytesMax: 20).0 == ["without an end"])
    #expect(lines([]).0 == [])
  }

  @Test func `A line that is too long is left out and counted; the next one is read`() {
    let (lines, splitter) = lines(["12345678\n", "123456789\n", "ok\n123456", "789"])
    #expect(lines == ["12345678", "ok"])
    #expect(splitter.overlongLines == 2)
  }
}

@Suite struct WorkerEventTests {
  static let events: [WorkerEvent] = [
    .prepared(.init(rows: 3, tokens: 40, steps: 5, memoryBytes: 6)),
    .step(
      .init(
        step: 1,
        epoch: 0.5,
        loss: 2.25,
        learningRate: 1e-5,
        gradientNorm: .infinity,
        tokensPerSecond: 100
      )
    ),
    .evaluation(.init(step: 2, epoch: 1, split: "dev", metrics: ["f1": 0.5])),
    .checkpoint(.init(step: 2)), .log(.init(level: .warning, message: "two\nlines")),
    .finished(.init(model: "name@1", metrics: ["test.f1": 0.5])), .failed(.init(message: "no")),
  ]

  @Test(arguments: events)
  func `An event is one line of JSON and comes back as it was`(event: WorkerEvent) throws {
    let line = try WorkerJSON.encode(event)
    #expect(!line.contains(UInt8(ascii: "\n")))
    #expect(try WorkerJSON.decode(WorkerEvent.self, from: line) == event)
  }

  @Test func `A loss that is not a number gets through`() throws {
    let step = WorkerEvent.Step(
      step: 1,
      epoch: 0,
      loss: .nan,
      learningRate: 0,
      gradientNorm: 0,
      tokensPerSecond: 0
    )
    let line = try WorkerJSON.encode(WorkerEvent.step(step))
    guard case .step(let back) = try WorkerJSON.decode(WorkerEvent.self, from: line) else {
      Issue.record("not a step")
      return
    }
    #expect(back.loss.isNaN)
  }

  @Test(arguments: ["", "{}", "[]", "{\"none\":{}}", "{\"step\":{}}", "nan", "{\"step\":1}"])
  func `What is no event is refused`(text: String) {
    #expect(throws: WorkerProtocolError.self) {
      try WorkerJSON.decode(WorkerEvent.self, from: text.utf8)
    }
  }
}
