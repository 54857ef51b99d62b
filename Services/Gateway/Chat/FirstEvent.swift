import NIOCore
import RPC
import ServiceAPI
import Synchronization

/// The first event of a generation, read ahead: it can be waited for with patience, and read by the
/// writer of the answer when it comes later.
///
/// A read that is cancelled ends the call, so waiting and reading are apart: the reading task lives
/// as long as this object or until it has the event. Nobody else may read the stream before.
final class FirstEvent: Sendable {
  private typealias Outcome = Result<InferenceV1.GenerateResponse?, RPCError>

  private let task: Task<Outcome, Never>
  private let signal: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation
  private let done: Done

  private final class Done: Sendable {
    let flag = Atomic<Bool>(false)
  }

  /// Begins to read.
  init(of stream: ResponseStream<InferenceV1.GenerateResponse>) {
    let (signal, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let done = Done()
    (self.signal, self.continuation, self.done) = (signal, continuation, done)
    task = Task {
      let outcome = await Self.first(of: stream)
      done.flag.store(true, ordering: .releasing)
      continuation.finish()
      return outcome
    }
  }

  deinit { task.cancel() }

  /// Whether the event, the end of the stream or an error is there.
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

  /// The event; nil if the stream ended without one.
  func value() async throws(RPCError) -> InferenceV1.GenerateResponse? {
    try await task.value.get()
  }

  private static func first(
    of stream: ResponseStream<InferenceV1.GenerateResponse>
  ) async -> Outcome {
    var iterator = stream.makeAsyncIterator()
    do throws(RPCError) {
      return .success(try await iterator.next())
    } catch {
      return .failure(error)
    }
  }
}
