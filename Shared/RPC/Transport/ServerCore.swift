import Logging
import NIOCore
import Synchronization

/// What the connections of one server share: the router and the count of what is alive.
final class ServerCore: Sendable {
  private struct State {
    var connections: [ObjectIdentifier: (number: Int, connection: ServerConnection)] = [:]
    var nextNumber = 0
    var pending = 0
    var limiter: ConnectionLimiter
    var isDraining = false
    var waiters: [CheckedContinuation<Void, Never>] = []
    /// Calls of connections that are gone.
    var endedCalls = CallCounts()

    init(_ configuration: ServerConfiguration) {
      limiter = ConnectionLimiter(
        total: configuration.maxConnections,
        perAddress: configuration.maxConnectionsPerAddress
      )
    }

    mutating func takeWaitersIfIdle(
      _ handlers: Int
    ) -> [CheckedContinuation<Void, Never>] {
      guard connections.isEmpty, pending == 0, handlers == 0 else { return [] }
      defer { waiters = [] }
      return waiters
    }
  }

  let router: Router
  let configuration: ServerConfiguration
  let logger: Logger
  /// Which calls may begin; nil when nothing bounds them.
  let callLimiter: CallLimiter?
  /// What the requests of all connections hold.
  let requestBytes: SharedByteBudget
  /// What the responses of all connections hold.
  let unreadBytes: SharedByteBudget
  /// Bounds the lines about connections that are refused.
  private let refusals = LogGate()
  /// Bounds the lines about connections that are cut.
  private let cuts = LogGate()
  private let state: Mutex<State>
  /// Handlers that run; outside of `state`, as it changes with every call.
  private let handlers = Atomic<Int>(0)
  /// Whether somebody waits, or did, for the server to be idle.
  private let isAwaited = Atomic<Bool>(false)

  init(router: Router, configuration: ServerConfiguration) {
    self.router = router
    self.configuration = configuration
    logger = configuration.logger
    callLimiter = CallLimiter(configuration.callLimits)
    requestBytes = SharedByteBudget(limit: configuration.maxTotalBufferedBytes)
    unreadBytes = SharedByteBudget(limit: configuration.maxTotalUnreadBytes)
    state = Mutex(State(configuration))
  }

  /// Counts a connection from a host in; throws when there are too many or the server ends.
  ///
  /// A connection from no host, within the process, has no bound but the server's.
  func admit(_ host: String?, at now: NIODeadline) throws(RPCError) {
    let refusal = state.withLock { state -> String? in
      guard !state.isDraining else { return "the server is shutting down" }
      if let refusal = state.limiter.admit(host) { return refusal.description }
      state.pending += 1
      return nil
    }
    guard let refusal else {
      requestBytes.membersChanged(by: 1)
      unreadBytes.membersChanged(by: 1)
      return
    }
    warn(refusals, "connection refused", peer: host ?? "in-process", refusal, at: now)
    throw RPCError(.resourceExhausted, "connection refused: \(refusal)")
  }

  /// Logs that a connection or a stream was cut because of what its client does.
  func logCut(
    _ message: Logger.Message = "connection cut",
    peer: String,
    reason: String,
    at now: NIODeadline
  ) {
    warn(cuts, message, peer: peer, reason, at: now)
  }

  private func warn(
    _ gate: LogGate,
    _ message: Logger.Message,
    peer: String,
    _ reason: String,
    at now: NIODeadline
  ) {
    guard let suppressed = gate.pass(at: now.uptimeNanoseconds) else { return }
    var metadata: Logger.Metadata = ["peer": "\(peer)", "reason": "\(reason)"]
    if suppressed > 0 { metadata["left_out"] = "\(suppressed)" }
    logger.warning(message, metadata: metadata)
  }

  /// The connection that was admitted exists; nil: it came to nothing.
  func admitted(_ connection: ServerConnection?, from host: String?) {
    if connection == nil { membersGone() }
    let (isDraining, waiters) = state.withLock { state in
      state.pending -= 1
      if let connection {
        state.connections[ObjectIdentifier(connection)] = (state.nextNumber, connection)
        state.nextNumber += 1
      } else {
        state.limiter.release(host)
      }
      return (state.isDraining, state.takeWaitersIfIdle(runningHandlers))
    }
    for waiter in waiters { waiter.resume() }
    if isDraining { connection?.beginDrain() }
  }

  private func membersGone() {
    requestBytes.membersChanged(by: -1)
    unreadBytes.membersChanged(by: -1)
  }

  func removed(_ connection: ServerConnection) {
    membersGone()
    let waiters = state.withLock { state in
      state.connections[ObjectIdentifier(connection)] = nil
      state.endedCalls.add(connection.counts)
      state.limiter.release(connection.remoteHost)
      return state.takeWaitersIfIdle(runningHandlers)
    }
    for waiter in waiters { waiter.resume() }
  }

  private var runningHandlers: Int { handlers.load(ordering: .sequentiallyConsistent) }

  func handlersChanged(by change: Int) {
    let (_, now) = handlers.wrappingAdd(change, ordering: .sequentiallyConsistent)
    // Whoever waits says so before it looks at the number.
    guard now == 0, isAwaited.load(ordering: .sequentiallyConsistent) else { return }
    let waiters = state.withLock { $0.takeWaitersIfIdle(runningHandlers) }
    for waiter in waiters { waiter.resume() }
  }

  /// The connections, the oldest first, and the calls of those that are gone.
  func connectionsAndEndedCalls() -> ([ServerConnection], CallCounts) {
    state.withLock { state in
      let connections = state.connections.values.sorted { $0.number < $1.number }
      return (connections.map(\.connection), state.endedCalls)
    }
  }

  /// Runs `body` on the loop of each connection, the oldest first; with `draining`, no connection comes any more.
  func forEachConnection(draining: Bool, _ body: @escaping @Sendable (ServerConnection) -> Void) {
    let connections = state.withLock { state in
      if draining { state.isDraining = true }
      return state.connections.values.sorted { $0.number < $1.number }.map(\.connection)
    }
    for connection in connections { connection.eventLoop.execute { body(connection) } }
  }

  /// Waits until no connection and no handler is left.
  func waitUntilIdle() async {
    isAwaited.store(true, ordering: .sequentiallyConsistent)
    await withCheckedContinuation { continuation in
      let waiters = state.withLock { state in
        state.waiters.append(continuation)
        return state.takeWaitersIfIdle(runningHandlers)
      }
      for waiter in waiters { waiter.resume() }
    }
  }

  /// Lets those go who wait for what does not end.
  func stopWaiting() {
    let (waiters, handlers, connections) = state.withLock { state in
      defer { state.waiters = [] }
      return (state.waiters, runningHandlers, state.connections.count)
    }
    guard !waiters.isEmpty else { return }
    logger.warning(
      handlers > 0 ? "handlers ignore their cancellation" : "connections do not close",
      metadata: ["handlers": "\(handlers)", "connections": "\(connections)"]
    )
    for waiter in waiters { waiter.resume() }
  }
}
