import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Where one end of a connection is.
public enum ConnectionAddress: Sendable, Hashable {
  /// The 4 or 16 bytes of an IP address, and a TCP port.
  case ip([UInt8], port: Int)
  /// The path of a socket of the Unix domain.
  case unix(String)

  /// nil for a pair within the process, whose ends have no names.
  init?(_ address: SocketAddress?) {
    if let path = address?.pathname {
      guard !path.isEmpty else { return nil }
      self = .unix(path)
      return
    }
    guard let address, let text = address.ipAddress, let port = address.port else { return nil }
    let isV6 = address.protocol == .inet6
    var bytes = [UInt8](repeating: 0, count: isV6 ? 16 : 4)
    guard inet_pton(isV6 ? AF_INET6 : AF_INET, text, &bytes) == 1 else { return nil }
    self = .ip(bytes, port: port)
  }
}

/// What one connection of a server or a channel is about.
public struct ConnectionStatus: Sendable, Hashable {
  /// No other entity of the process has it.
  public let id: Int
  /// Whether the process serves it.
  public let isServed: Bool
  /// Its streams.
  public let streams: CallCounts
  /// The messages on them.
  public let messages: MessageCounts
  /// PINGs that asked the peer for a sign of life.
  public let keepalivesSent: Int
  /// This side's address; nil for one within the process.
  public let localAddress: ConnectionAddress?
  /// The peer's address; nil for one within the process.
  public let remoteAddress: ConnectionAddress?
  /// Whether it is encrypted.
  public let isEncrypted: Bool
  /// Who the client is by its certificate; nil at a client.
  public let peer: PeerIdentity?
}

/// What a server is about.
public struct ServerStatus: Sendable, Hashable {
  /// No other entity of the process has it.
  public let id: Int
  /// The calls of all its connections, those that have ended included.
  public let calls: CallCounts
  /// The connections, the oldest first.
  public let connections: [ConnectionStatus]
}

extension HTTP2Connection {
  /// What the connection is about, on its loop.
  func status(isServed: Bool, isEncrypted: Bool, peer: PeerIdentity? = nil) -> ConnectionStatus {
    ConnectionStatus(
      id: entityID,
      isServed: isServed,
      streams: counts,
      messages: messages,
      keepalivesSent: keepalivesSent,
      localAddress: ConnectionAddress(context?.channel.localAddress),
      remoteAddress: ConnectionAddress(context?.channel.remoteAddress),
      isEncrypted: isEncrypted,
      peer: peer
    )
  }
}

extension RPCServer {
  /// What the server and its connections are about, for diagnosis: it may have changed when it is
  /// read.
  ///
  /// Asks the loop of each connection.
  public func status() async -> ServerStatus {
    let (connections, ended) = core.connectionsAndEndedCalls()
    let isEncrypted = core.configuration.tls != nil || core.configuration.tlsReloader != nil
    let answers = connections.map { connection in
      connection.eventLoop.submit {
        connection.status(isServed: true, isEncrypted: isEncrypted, peer: connection.peer)
      }
    }
    var calls = ended
    var statuses: [ConnectionStatus] = []
    for answer in answers {
      // A loop that has ended has no connections.
      guard let status = try? await answer.get() else { continue }
      calls.add(status.streams)
      statuses.append(status)
    }
    return ServerStatus(id: id, calls: calls, connections: statuses)
  }
}
