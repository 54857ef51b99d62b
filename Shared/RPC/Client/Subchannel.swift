import Logging
import NIOCore
import NIOSSL

/// One endpoint of a channel: its connections and the attempts that wait for one of their streams.
///
/// It connects when told to and, while attempts wait because every connection is at the peer's
/// MAX_CONCURRENT_STREAMS, makes further ones up to a bound (gRFC A105). It does not reconnect by
/// itself when the last is lost: the channel does, if its policy wants the endpoint.
///
/// `@unchecked Sendable`: the variables are used on `eventLoop` alone.
final class Subchannel: @unchecked Sendable {
  /// A connection that lived shorter than this and answered no call counts as a failed attempt.
  private static let minimumLife = TimeAmount.seconds(1)

  let id: Int
  let entityID = EntityID.next()
  let endpoint: Endpoint
  let core: ChannelCore
  private(set) var state = ConnectivityState.idle
  /// Attempts that were given to this endpoint and are not over.
  private(set) var outstanding = 0
  /// Attempts that had a stream.
  var counts = CallCounts()
  /// Why there is no connection.
  private(set) var lastFailure = "not connected yet"

  private var isClosed = false
  private var isConnecting = false
  /// Counts attempts to connect: what becomes of one that was given up counts no longer.
  private var connectCount = 0
  /// Connections with a socket, those that drain included.
  private var live: [ClientConnection] = []
  /// Connections that take calls.
  private var ready: [ClientConnection] = []
  private var retryTimer: Scheduled<Void>?
  /// Whether that timer only keeps connections apart that servers end soon.
  private var isPausing = false
  private var backoff: Backoff
  private var waiting = CircularBuffer<ClientAttempt>()

  init(id: Int, endpoint: Endpoint, core: ChannelCore) {
    self.id = id
    self.endpoint = endpoint
    self.core = core
    backoff = Backoff(
      initial: core.configuration.backoffInitial,
      max: core.configuration.backoffMax
    )
  }

  var eventLoop: any EventLoop { core.eventLoop }

  /// What its connections are about.
  var connectionStatuses: [ConnectionStatus] {
    let isEncrypted = core.configuration.tlsContext != nil
    return live.map { $0.status(isServed: false, isEncrypted: isEncrypted) }
  }

  /// Whether no socket is left.
  var isGone: Bool { live.isEmpty }

  // MARK: Attempts

  /// Opens the attempt's stream, or lets it wait for one.
  ///
  /// The subchannel is ready.
  func take(_ attempt: ClientAttempt) {
    if waiting.isEmpty, let connection = freeConnection { return attempt.open(on: connection) }
    guard core.mayQueue(attempt) else { return }
    waiting.append(attempt)
    addConnection()
  }

  /// Counts an attempt of this endpoint.
  func attemptBegan() {
    outstanding += 1
    core.outstandingChanged(self, by: 1)
  }

  /// The attempt is over, or goes elsewhere.
  func attemptEnded() {
    outstanding -= 1
    core.outstandingChanged(self, by: -1)
  }

  private var freeConnection: ClientConnection? {
    for connection in ready where connection.hasFreeStream { return connection }
    return nil
  }

  /// A stream was closed or the peer allows more.
  func streamFreed() {
    guard !waiting.isEmpty else { return }
    while let connection = freeConnection, let attempt = waiting.popFirst() {
      core.dequeued(attempt)
      if !attempt.isOver { attempt.open(on: connection) }
    }
    if !waiting.isEmpty { addConnection() }
  }

  /// Forgets attempts that wait and are over.
  func purge() {
    waiting = core.living(waiting)
  }

  private func addConnection() {
    let limit = core.configuration.maxConnectionsPerEndpoint
    guard !isConnecting, retryTimer == nil, ready.count < limit, live.count < 2 * limit else {
      return
    }
    connect()
  }

  // MARK: Connecting

  /// Begins to connect, unless that is under way or the back-off asks to wait.
  func connect() {
    eventLoop.assertInEventLoop()
    guard !isClosed, !isConnecting, retryTimer == nil else { return }
    isConnecting = true
    connectCount += 1
    let number = connectCount
    stateMayHaveChanged()
    let timeout = TimeAmount(core.configuration.connectTimeout)
    let deadline = eventLoop.now + timeout
    let attempt = Connector.Attempt(
      host: endpoint.host,
      port: endpoint.port,
      eventLoop: eventLoop,
      timeout: timeout
    ) { channel in
      try self.configure(channel, number, deadline)
    }
    core.configuration.connector.connect(attempt).whenFailure { error in
      self.connectFailed("\(error)", number)
    }
  }

  private func configure(
    _ channel: any Channel,
    _ number: Int,
    _ deadline: NIODeadline
  ) throws {
    if let tls = core.configuration.tlsContext {
      let name = core.configuration.tlsServerName ?? core.target.serverName(of: endpoint)
      // Server name indication takes names alone (RFC 6066, 3).
      let isAddress = EndpointLookup.isAddress(name)
      try channel.pipeline.syncOperations.addHandler(
        NIOSSLClientHandler(context: tls, serverHostname: isAddress ? nil : name)
      )
    }
    try channel.pipeline.syncOperations.addHandler(
      ClientConnection(subchannel: self, number: number, deadline: deadline)
    )
  }

  /// The connection's socket is there; it is of use once it is ready.
  func connectionActive(_ connection: ClientConnection) {
    live.append(connection)
    if isClosed { connection.close(reason: "the channel is closed") }
  }

  func connectionReady(_ connection: ClientConnection) {
    guard isConnecting, connection.number == connectCount, !isClosed else {
      return connection.drain()
    }
    isConnecting = false
    ready.append(connection)
    core.configuration.logger.debug("connected", metadata: ["server": "\(endpoint)"])
    stateMayHaveChanged()
    streamFreed()
  }

  /// The connection takes no new call: the next one gets another.
  func connectionDraining(_ connection: ClientConnection) {
    readyLost(connection, reason: "the server is shutting down", isPlanned: true)
  }

  /// The connection is given up; its socket may linger.
  func connectionEnding(_ connection: ClientConnection, reason: String) {
    let isActive = live.contains { $0 === connection }
    if isConnecting, isActive, !connection.wasReady {
      connectFailed(reason, connection.number)
    } else {
      readyLost(connection, reason: reason)
    }
  }

  /// The connection's socket is gone.
  func connectionClosed(_ connection: ClientConnection) {
    live.removeAll { $0 === connection }
    if isClosed, live.isEmpty { core.subchannelGone(self) }
  }

  private func readyLost(
    _ connection: ClientConnection,
    reason: String,
    isPlanned: Bool = false
  ) {
    guard let index = ready.firstIndex(where: { $0 === connection }) else { return }
    ready.remove(at: index)
    guard !isClosed else { return }
    lastFailure = reason
    if connection.hasAnswered || connection.readySince + Self.minimumLife <= eventLoop.now {
      backoff.reset()
    } else if ready.isEmpty, !isConnecting {
      // A server that ends a connection as it should has not failed: calls wait for the next one.
      isPausing = isPlanned
      backOff(reason)
    }
    stateMayHaveChanged()
  }

  private func connectFailed(_ reason: String, _ number: Int) {
    guard isConnecting, number == connectCount else { return }
    isConnecting = false
    guard !isClosed else { return }
    backOff(reason)
    stateMayHaveChanged()
  }

  private func backOff(_ reason: String) {
    lastFailure = reason
    let delay = backoff.delay(core.configuration.random)
    core.configuration.logger.debug(
      "cannot connect",
      metadata: ["server": "\(endpoint)", "reason": "\(reason)", "retry": "\(delay)"]
    )
    retryTimer?.cancel()
    retryTimer = eventLoop.scheduleTask(in: delay) {
      self.retryTimer = nil
      self.isPausing = false
      self.stateMayHaveChanged()
      self.streamFreed()
    }
  }

  /// Works the state out and tells the channel of a change.
  private func stateMayHaveChanged() {
    let now: ConnectivityState =
      if isClosed {
        .shutdown
      } else if !ready.isEmpty {
        .ready
      } else if isConnecting || isPausing {
        .connecting
      } else if retryTimer != nil {
        .transientFailure
      } else {
        .idle
      }
    guard now != state else { return }
    let wasReady = state == .ready
    state = now
    core.subchannelChanged(self)
    guard wasReady else { return }
    // The channel may have another endpoint for those that wait.
    let attempts = waiting
    waiting = CircularBuffer()
    for attempt in attempts { core.dequeued(attempt) }
    for attempt in attempts where !attempt.isOver { core.admit(attempt) }
  }

  /// Ends the connections with their last call.
  ///
  /// A back-off goes on: an endpoint that is wanted again before its end waits for it.
  func disconnect() {
    guard !isClosed else { return }
    // A connection that is still being made is drained when it is ready.
    isConnecting = false
    let connections = ready
    ready = []
    stateMayHaveChanged()
    for connection in connections { connection.drain() }
  }

  // MARK: The end

  /// Takes no attempt any more; connections end with their last call.
  func drain() {
    guard !isClosed else { return }
    shut()
    for connection in live { connection.drain() }
    if live.isEmpty { core.subchannelGone(self) }
  }

  /// Ends every call with `error`, and the connections.
  func close(_ error: RPCError) {
    let attempts = waiting
    waiting = CircularBuffer()
    for attempt in attempts { core.dequeued(attempt) }
    shut()
    for attempt in attempts { attempt.call.fail(error) }
    for connection in live { connection.closeNow(error) }
  }

  private func shut() {
    retryTimer?.cancel()
    retryTimer = nil
    isClosed = true
    ready = []
    stateMayHaveChanged()
  }
}
