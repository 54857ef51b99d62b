import Logging
public import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A server of gRPC calls over HTTP/2.
///
/// `start` once, `shutdown` once.
public final class RPCServer: Sendable {
  private enum Phase {
    /// To `starting` by `start`.
    case created
    /// To `running`, or back to `created` when the address cannot be bound to.
    case starting
    /// To `ended` by `shutdown`.
    case running(Listeners)
    case ended
  }

  /// The time handlers have to end after they were cancelled.
  private static let cancellationTimeout = TimeAmount.seconds(5)

  /// No other server, channel or connection of the process has it.
  public let id = EntityID.next()
  let core: ServerCore
  let group: any EventLoopGroup
  private let phase = Mutex(Phase.created)

  /// Creates a server whose connections are spread over the group's loops.
  public init(router: Router, configuration: ServerConfiguration, group: any EventLoopGroup) {
    core = ServerCore(router: router, configuration: configuration)
    self.group = group
    LiveEntities.add(self)
  }

  deinit {
    LiveEntities.removeServer(id)
  }

  /// Binds and listens.
  ///
  /// Returns the bound address, with the real port.
  ///
  /// Throws UNAVAILABLE when the address cannot be bound to.
  public func start() async throws -> SocketAddress {
    let core = core
    let isFirst = phase.withLock { phase in
      guard case .created = phase else { return false }
      phase = .starting
      return true
    }
    guard isFirst else {
      throw RPCError(.failedPrecondition, "the server was started or shut down before")
    }
    let listeners: Listeners
    do throws(RPCError) {
      listeners = try await Listeners.open(core.configuration, group: group) { channel in
        channel.eventLoop.makeCompletedFuture { try Self.configure(channel, core: core) }
      }
    } catch {
      phase.withLock { if case .starting = $0 { $0 = .created } }
      throw error
    }
    let isRunning = phase.withLock { phase in
      guard case .starting = phase else { return false }
      phase = .running(listeners)
      return true
    }
    guard isRunning, let address = listeners.address else {
      await listeners.close()
      throw RPCError(.cancelled, "the server was shut down while it started")
    }
    return address
  }

  /// Makes a socket that was accepted a connection of the server; throws when it takes none.
  static func configure(
    _ channel: any Channel,
    core: ServerCore,
    remoteAddress: String? = nil
  ) throws {
    let host = channel.remoteAddress?.accountName
    try core.admit(host, at: channel.eventLoop.now)
    do {
      let connection = try ServerConnection(
        core: core,
        eventLoop: channel.eventLoop,
        remoteAddress: remoteAddress ?? channel.remoteAddress?.addressAndPort ?? "unknown",
        remoteHost: host
      )
      let configuration = core.configuration
      if let tls = configuration.tlsReloader?.context ?? configuration.tls {
        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
      }
      try channel.pipeline.syncOperations.addHandler(connection)
      core.admitted(connection, from: host)
    } catch {
      core.admitted(nil, from: host)
      throw error
    }
  }

  /// Ends the server: accepts nothing new, announces the end to clients, lets calls finish for
  /// `grace`, then cancels the rest.
  ///
  /// Returns when connections and handlers are gone, at the latest 5 s after the grace.
  public func shutdown(grace: Duration) async {
    let last = phase.withLock { phase in
      defer { phase = .ended }
      return phase
    }
    switch last {
    case .created, .starting: break  // It may have connections within the process.
    case .running(let listeners): await listeners.close()
    case .ended: return
    }
    let (core, eventLoop) = (core, group.next())
    core.forEachConnection(draining: true) { $0.beginDrain() }
    let cancel = eventLoop.scheduleTask(in: TimeAmount(grace)) {
      core.forEachConnection(draining: true) { $0.cancelAll() }
    }
    let stop = eventLoop.scheduleTask(in: TimeAmount(grace) + Self.cancellationTimeout) {
      core.stopWaiting()
    }
    await core.waitUntilIdle()
    cancel.cancel()
    stop.cancel()
    LiveEntities.removeServer(id)
  }
}

extension SocketAddress {
  /// What limits by address know a client by: its IPv4 address, or the network of 64 bits that is its own in IPv6.
  var accountName: String? {
    guard case .ip(let bytes, _)? = ConnectionAddress(self), bytes.count == 16 else {
      return ipAddress
    }
    // An IPv4 address on a socket for both (RFC 4291, 2.5.5.2).
    if bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10] == 0xff, bytes[11] == 0xff {
      return bytes.suffix(4).map { String($0) }.joined(separator: ".")
    }
    let groups = stride(from: 0, to: 8, by: 2).map {
      String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
    }
    return groups.joined(separator: ":") + "::/64"
  }

  /// `address:port`, without the family's name that `description` has.
  var addressAndPort: String {
    guard let ipAddress, let port else { return description }
    return "\(ipAddress):\(port)"
  }
}
