import ModelAccess
import RPC
import Testing

@Suite("Work pool", .timeLimit(.minutes(5)))
struct WorkPoolTests {
  @Test("requests over the bound are refused, and places are taken again")
  func admits() async throws {
    let pool = WorkPool(threadCount: 1, requestsMax: 1)
    let result = try await pool.admit {
      let error = await #expect(throws: RPCError.self) {
        try await pool.admit { Issue.record("a request over the bound was admitted") }
      }
      #expect(error?.code == .resourceExhausted)
      return try await pool.run { 1 }
    }
    #expect(result == 1)
    #expect(try await pool.admit { 2 } == 2)
    await pool.shutdown()
  }

  @Test("a task that was cancelled does no work")
  func cancels() async throws {
    let pool = WorkPool(threadCount: 1, requestsMax: 1)
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      _ = try await pool.run { Issue.record("a cancelled task worked") }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    await pool.shutdown()
  }
}
