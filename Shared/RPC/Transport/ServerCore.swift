import Logging
import NIOCore
import Synchronization

/// What the connections of one server share: the router and the count of what is alive.
final class ServerCore: Sendable {
  private struct State {
    var connections: [ObjectIdentifier: ServerConnection] = [:]
    var pending = 0
    var handlers = 0
    var isDraining = false
    var waiters: [CheckedContinuation<Void, Never>] = []

    mutating func takeWaitersIfIdle() -> [CheckedContinuation<Void, Never>] {
      guard connections.isEmpty, pending == 0, handlers == 0 else { return [] }
      defer { waiters = [] }
      return waiters
    }
  }

  let router: Router
  let configuration: ServerConfiguration
  let logger: Logger
  private let state = Mutex(State())

  init(router: Router, configuration: ServerConfiguration) {
    self.router = router
    self.configuration = configuration
    logger = configuration.logger
  }

  /// Counts a connection in; false when there are too many or the server ends.
  func admit() -> Bool {
    state.withLock { state in
      guard !state.isDraining,
        state.connections.count + state.pending < configuration.maxConnections
      else { return false }
      state.pending += 1
      return true
    }
  }

  /// The connection that was admitted exists; nil: it came to nothing.
  func admitted(_ connection: ServerConnection?) {
    let (isDraining, waiters) = state.withLock { state in
      state.pending -= 1
      if let connection { state.connections[ObjectIdentifier(connection)] = connection }
      return (state.isDraining, state.takeWaitersIfIdle())
    }
    for waiter in waiters { waiter.resume() }
    if isDraining { connection?.beginDrain() }
  }

  func removed(_ connection: ServerConnection) {
    let waiters = state.withLock { state in
      state.connections[ObjectIdentifier(connection)] = nil
      return state.takeWaitersIfIdle()
    }
    for waiter in waiters { waiter.resume() }
  }

  func handlersChanged(by change: Int) {
    let waiters = state.withLock { state in
      state.handlers += change
      return state.takeWaitersIfIdle()
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Runs `body` on the loop of each connection; with `draining`, no connection comes any more.
  func forEachConnection(draining: Bool, _ body: @escaping @Sendable (ServerConnection) -> Void) {
    let connections = state.withLock { state in
      if draining { state.isDraining = true }
      return Array(state.connections.values)
    }
    for connection in connections { connection.eventLoop.execute { body(connection) } }
  }

  /// Waits until no connection and no handler is left.
  func waitUntilIdle() async {
    await withCheckedContinuation { continuation in
      let waiters = state.withLock { state in
        state.waiters.append(continuation)
        return state.takeWaitersIfIdle()
      }
      for waiter in waiters { waiter.resume() }
    }
  }

  /// Lets those go who wait for what does not end.
  func stopWaiting() {
    let (waiters, handlers) = state.withLock { state in
      defer { state.waiters = [] }
      return (state.waiters, state.handlers)
    }
    guard !waiters.isEmpty else { return }
    logger.warning(
      "handlers ignore their cancellation",
      metadata: ["handlers": "\(handlers)"]
    )
    for waiter in waiters { waiter.resume() }
  }
}
