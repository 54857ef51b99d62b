import NIOCore
import Synchronization
import Testing

@testable import RPC

@Suite("Handlers on the loop")
struct LoopExecutorTests {
  @Test("many calls that wait at once, and those after them, are each answered once")
  func manyAtOnce() async throws {
    let gate = Signal()
    let waiting = Counter()
    let service = EchoService(unary: { request, _ in
      waiting.increment()
      if request.bytes.first == 1 { await gate.wait() }
      return request
    })
    try await withLoopback(service) { channel, _ in
      try await withThrowingTaskGroup(of: Bytes.self) { group in
        for index in 0..<100 {
          group.addTask {
            try await channel.unary(EchoMethods.unary, Bytes([1, UInt8(index)]))
          }
        }
        _ = await waiting.wait(above: 99)
        for index in 0..<50 {
          let answer: Bytes = try await channel.unary(EchoMethods.unary, Bytes([0, UInt8(index)]))
          #expect(answer.bytes == [0, UInt8(index)])
        }
        gate.set()
        let answers = try await group.reduce(into: Set<[UInt8]>()) { $0.insert($1.bytes) }
        #expect(answers.count == 100)
      }
    }
  }

  @Test("a call after a cancelled one is not cancelled")
  func cancellationEndsWithItsCall() async throws {
    let service = EchoService(unary: { request, _ in
      if request.bytes == [1] { await waitForCancellation(Signal()) }
      #expect(request.bytes == [1] || !Task.isCancelled)
      return request
    })
    try await withLoopback(service) { channel, _ in
      for _ in 0..<20 {
        let error = try await failure {
          let _: Bytes = try await channel.unary(
            EchoMethods.unary,
            Bytes([1]),
            options: CallOptions(timeout: .milliseconds(5))
          )
        }
        #expect(error.code == .deadlineExceeded)
        let answer: Bytes = try await channel.unary(EchoMethods.unary, Bytes([2]))
        #expect(answer.bytes == [2])
      }
    }
  }
}
