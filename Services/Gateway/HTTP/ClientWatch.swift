import NIOCore
import Synchronization

/// Tells a request's task that nobody waits for its answer any more: the client went away, or the
/// time is up.
///
/// Hummingbird's own `consumeWithCancellationOnInboundClose` ends the connection after the answer;
/// this keeps it for the next request. The connection's ``ConnectionHandler`` fires the watch from
/// the event loop; firing twice or after the end does nothing.
final class ClientWatch: Sendable {
  private enum State {
    case idle
    case waiting(CheckedContinuation<GatewayError?, Never>)
    /// Fired with the error, or ended (nil).
    case over(GatewayError?)
  }

  private let state = Mutex(State.idle)
  private let onFire: @Sendable (GatewayError) -> Void

  /// `onFire` is called at most once, on any thread; it must not block.
  init(onFire: @escaping @Sendable (GatewayError) -> Void = { _ in }) { self.onFire = onFire }

  /// Says that nobody waits for the answer, and why.
  func fire(_ error: GatewayError) { if end(error) { onFire(error) } }

  /// What the watch was fired with, if it was.
  var error: GatewayError? {
    state.withLock { state in
      if case .over(let error) = state { error } else { nil }
    }
  }

  /// Runs `operation` and cancels it when the client of `channel` goes away (then throws
  /// `clientClosed`) or after `timeout` (then throws `timeoutError`).
  ///
  /// The error is thrown when the operation has ended.
  static func run<Value: Sendable>(
    on channel: any Channel,
    timeout: Duration,
    timeoutError: GatewayError,
    _ operation: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    let watch = ClientWatch()
    let timer = watch.start(on: channel, timeout: timeout, timeoutError: timeoutError)
    defer { watch.stop(timer, on: channel) }
    return try await withThrowingTaskGroup(of: Value?.self) { group in
      group.addTask { try await operation() }
      group.addTask {
        if let error = await watch.wait() { throw error }
        return nil
      }
      // The second task ends without an error only when it is cancelled, after the first.
      defer { group.cancelAll() }
      guard let value = try await group.next(), let value else { throw CancellationError() }
      return value
    }
  }

  /// Begins to watch; the result is for ``stop(_:on:)``.
  func start(
    on channel: any Channel,
    timeout: Duration,
    timeoutError: GatewayError
  ) -> Scheduled<Void> {
    attach(to: channel)
    return channel.eventLoop.scheduleTask(in: TimeAmount(timeout)) { self.fire(timeoutError) }
  }

  /// Ends the watch: it no longer fires.
  func stop(_ timer: Scheduled<Void>, on channel: any Channel) {
    timer.cancel()
    end(nil)
    channel.triggerUserOutboundEvent(Registration(watch: self, isAdded: false), promise: nil)
  }

  private func attach(to channel: any Channel) {
    let attached = channel.eventLoop.makePromise(of: Void.self)
    channel.triggerUserOutboundEvent(Registration(watch: self, isAdded: true), promise: attached)
    attached.futureResult.whenFailure { _ in
      // Without a connection handler (a router under test) nothing is watched.
      if !channel.isActive { self.fire(.clientClosed) }
    }
  }

  private func wait() async -> GatewayError? {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let result: GatewayError?? = state.withLock { state in
          if case .over(let error) = state { return .some(error) }
          state = .waiting(continuation)
          return nil
        }
        if let result { continuation.resume(returning: result) }
      }
    } onCancel: {
      end(nil)
    }
  }

  /// Whether this was the first end.
  @discardableResult
  private func end(_ error: GatewayError?) -> Bool {
    let (isFirst, waiter) = state.withLock {
      state -> (Bool, CheckedContinuation<GatewayError?, Never>?) in
      defer { if case .over = state {} else { state = .over(error) } }
      switch state {
      case .over: return (false, nil)
      case .idle: return (true, nil)
      case .waiting(let continuation): return (true, continuation)
      }
    }
    waiter?.resume(returning: error)
    return isFirst
  }

  /// The outbound event by which a connection's handler learns of a watch.
  struct Registration: Sendable {
    let watch: ClientWatch
    let isAdded: Bool
  }
}

extension GatewayError {
  /// The client closed the connection before its answer was complete.
  static let clientClosed = GatewayError(.clientClosed, "The client closed the connection.")
}
