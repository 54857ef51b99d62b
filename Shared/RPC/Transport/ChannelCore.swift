import Logging
import NIOCore
import NIOSSL

/// The connection of a channel and the calls that wait for it; heals itself.
///
/// `@unchecked Sendable`: the variables are used on `eventLoop` alone.
final class ChannelCore: @unchecked Sendable {
  private enum State {
    /// To `connecting` by `connect`.
    case idle
    /// An attempt is under way; to `ready` or `backingOff`.
    case connecting
    /// To `connecting` when the connection drains or is lost, `backingOff` when it was short-lived.
    case ready(ClientConnection)
    /// The last attempt failed; to `connecting` when the wait is over.
    case backingOff(Scheduled<Void>)
    /// `close` was called. Final.
    case closed
  }

  /// A connection that lived shorter than this counts as a failed attempt.
  private static let minimumLife = TimeAmount.seconds(1)

  let target: String
  let configuration: ChannelConfiguration
  let eventLoop: any EventLoop
  private let host: String
  private let port: Int
  private var state = State.idle
  private var connections: [ObjectIdentifier: ClientConnection] = [:]
  private var waiting = CircularBuffer<ClientCall>()
  private var backoff: Backoff
  private var lastFailure = "not connected yet"
  private var closeWaiters: [EventLoopPromise<Void>] = []

  init(host: String, port: Int, configuration: ChannelConfiguration, eventLoop: any EventLoop) {
    self.host = host
    self.port = port
    self.configuration = configuration
    self.eventLoop = eventLoop
    target = "\(host):\(port)"
    backoff = Backoff(initial: configuration.backoffInitial, max: configuration.backoffMax)
  }

  // MARK: Calls

  /// Opens the call's stream, or lets it wait, or fails it.
  func admit(_ call: ClientCall) {
    eventLoop.assertInEventLoop()
    switch state {
    case .closed: call.fail(RPCError(.cancelled, "the channel to \(target) is closed"))
    case .ready(let connection) where connection.hasFreeStream && waiting.isEmpty:
      call.open(on: connection)
    case .backingOff where !call.waitsForConnection:
      call.fail(noConnection())
    case .idle:
      enqueue(call)
      connect()
    case .ready, .connecting, .backingOff: enqueue(call)
    }
  }

  private func enqueue(_ call: ClientCall) {
    if waiting.count >= configuration.maxQueuedCalls { purge() }
    guard waiting.count < configuration.maxQueuedCalls else {
      return call.fail(
        RPCError(.resourceExhausted, "\(waiting.count) calls wait for \(target) already")
      )
    }
    waiting.append(call)
  }

  private func purge() {
    waiting = CircularBuffer(waiting.filter { !$0.isOver })
  }

  private func openWaiting() {
    while case .ready(let connection) = state, connection.hasFreeStream,
      let call = waiting.popFirst()
    {
      if !call.isOver { call.open(on: connection) }
    }
  }

  func noConnection() -> RPCError {
    RPCError(.unavailable, "no connection to \(target): \(lastFailure)")
  }

  func streamFreed() {
    if !waiting.isEmpty { openWaiting() }
  }

  // MARK: Connecting

  func connect() {
    eventLoop.assertInEventLoop()
    switch state {
    case .idle, .backingOff: break
    case .connecting, .ready, .closed: return
    }
    state = .connecting
    let attempt = Connector.Attempt(
      host: host,
      port: port,
      eventLoop: eventLoop,
      timeout: TimeAmount(configuration.connectTimeout)
    ) { channel in
      try self.configure(channel)
    }
    configuration.connector.connect(attempt).whenFailure { error in
      self.connectFailed("\(error)")
    }
  }

  private func configure(_ channel: any Channel) throws {
    if let tls = configuration.tls {
      let name = configuration.tlsServerName ?? host
      // Server name indication takes names alone (RFC 6066, 3).
      let isAddress = (try? SocketAddress(ipAddress: name, port: 0)) != nil
      try channel.pipeline.syncOperations.addHandler(
        NIOSSLClientHandler(context: tls, serverHostname: isAddress ? nil : name)
      )
    }
    try channel.pipeline.syncOperations.addHandler(ClientConnection(core: self))
  }

  /// The connection's socket is there; it is of use once it is ready.
  func connectionActive(_ connection: ClientConnection) {
    connections[ObjectIdentifier(connection)] = connection
    if case .closed = state { connection.close(reason: "the channel is closed") }
  }

  func connectionReady(_ connection: ClientConnection) {
    guard case .connecting = state else { return connection.drain() }
    state = .ready(connection)
    configuration.logger.debug("connected", metadata: ["server": "\(target)"])
    openWaiting()
  }

  /// The connection takes no new call: the next one gets another.
  func connectionDraining(_ connection: ClientConnection) {
    guard case .ready(let current) = state, current === connection else { return }
    reconnect(after: connection, reason: "the server is shutting down")
  }

  func connectionClosed(_ connection: ClientConnection, reason: String) {
    let wasActive = connections.removeValue(forKey: ObjectIdentifier(connection)) != nil
    switch state {
    case .ready(let current) where current === connection:
      reconnect(after: connection, reason: reason)
    case .connecting where wasActive && !connection.wasReady: connectFailed(reason)
    default: break
    }
    if case .closed = state, connections.isEmpty {
      for waiter in closeWaiters { waiter.succeed() }
      closeWaiters = []
    }
  }

  private func reconnect(after connection: ClientConnection, reason: String) {
    guard connection.readySince + Self.minimumLife <= eventLoop.now else {
      state = .connecting
      return connectFailed(reason)
    }
    backoff.reset()
    lastFailure = reason
    state = .idle
    connect()
  }

  private func connectFailed(_ reason: String) {
    guard case .connecting = state else { return }
    lastFailure = reason
    let delay = backoff.delay(configuration.random)
    configuration.logger.debug(
      "cannot connect",
      metadata: ["server": "\(target)", "reason": "\(reason)", "retry": "\(delay)"]
    )
    state = .backingOff(eventLoop.scheduleTask(in: delay) { self.connect() })
    let calls = waiting
    waiting = CircularBuffer()
    for call in calls where !call.isOver {
      if call.waitsForConnection { waiting.append(call) } else { call.fail(noConnection()) }
    }
  }

  // MARK: The end

  /// Fails what waits and runs, and closes every connection; the promise is kept when that is done.
  func close(_ promise: EventLoopPromise<Void>?) {
    eventLoop.assertInEventLoop()
    if case .backingOff(let timer) = state { timer.cancel() }
    state = .closed
    let error = RPCError(.cancelled, "the channel to \(target) is closed")
    let calls = waiting
    waiting = CircularBuffer()
    for call in calls { call.fail(error) }
    for connection in Array(connections.values) { connection.closeNow(error) }
    guard let promise else { return }
    if connections.isEmpty { promise.succeed() } else { closeWaiters.append(promise) }
  }
}
