import NIOCore
import RPC
import Synchronization

/// The begin of a generation, up to its first event: it can be waited for with patience, and used by
/// the writer of the answer when it comes later.
///
/// A read that is cancelled ends the call, so waiting and reading are apart: the reading task lives
/// as long as this object or until it has the event.
final class FirstEvent: Sendable {
  private typealias Outcome = Result<Generation, RPCError>

  private let task: Task<Outcome, Never>
  private let signal: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation
  private let done: Done

  private final class Done: Sendable {
    let flag = Atomic<Bool>(false)
    let generation = Mutex<Generation?>(nil)
  }

  /// Begins the generation.
  init(_ begin: @escaping @Sendable () async throws(RPCError) -> Generation) {
    let (signal, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let done = Done()
    (self.signal, self.continuation, self.done) = (signal, continuation, done)
    task = Task {
      let outcome: Outcome
      do throws(RPCError) {
        let generation = try await begin()
        outcome = .success(generation)
        done.generation.withLock { $0 = generation }
        // Cancelled meanwhile: `cancel` may have come before the line above.
        if Task.isCancelled { generation.rest.cancel() }
      } catch {
        outcome = .failure(error)
      }
      done.flag.store(true, ordering: .releasing)
      continuation.finish()
      return outcome
    }
  }

  deinit { task.cancel() }

  /// Ends the generation, whether it has begun or not.
  func cancel() {
    task.cancel()
    done.generation.withLock { $0 }?.rest.cancel()
  }

  /// Whether the event or an error is there.
  var isDone: Bool { done.flag.load(ordering: .acquiring) }

  /// Waits until ``isDone``, for `time` at most or until the task is cancelled.
  ///
  /// To be called once.
  func wait(atMost time: Duration, on eventLoop: any EventLoop) async {
    let continuation = continuation
    let timer = eventLoop.scheduleTask(in: TimeAmount(time)) { continuation.finish() }
    for await _ in signal {}
    timer.cancel()
  }

  /// The generation with its first event.
  func value() async throws(RPCError) -> Generation {
    try await task.value.get()
  }
}
