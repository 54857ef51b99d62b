import NIOPosix
import RPC
import Synchronization

/// Threads for work that blocks or computes, which no event loop may wait for, with a bound on the requests that are
/// at it or wait for it.
package final class WorkPool: Sendable {
  private let threads: NIOThreadPool
  private let requestsMax: Int
  private let requests = Atomic<Int>(0)

  /// Starts `threadCount` threads for at most `requestsMax` requests at once.
  package init(threadCount: Int, requestsMax: Int) {
    precondition(threadCount > 0 && requestsMax > 0)
    self.requestsMax = requestsMax
    threads = NIOThreadPool(numberOfThreads: threadCount)
    threads.start()
  }

  /// Requests that `admit` counts now.
  package var requestsAdmitted: Int { requests.load(ordering: .relaxed) }

  /// Counts a request for as long as `body` takes; throws RESOURCE_EXHAUSTED when there are too many.
  package func admit<Result: Sendable>(
    _ body: () async throws -> Result
  ) async throws -> Result {
    defer { requests.subtract(1, ordering: .relaxed) }
    guard requests.add(1, ordering: .relaxed).newValue <= requestsMax else {
      throw RPCError(
        .resourceExhausted,
        "\(requestsMax) requests are being worked on or wait; no more are accepted"
      )
    }
    return try await body()
  }

  /// Runs `body` on one of the threads; throws `CancellationError` when the task is cancelled before it begins.
  package func run<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    try Task.checkCancellation()
    return try await threads.runIfActive(body)
  }

  /// Ends the threads when they have done what they are at.
  package func shutdown() async { try? await threads.shutdownGracefully() }
}
