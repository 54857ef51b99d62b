import RPC

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What the process says of its entities, as messages.
extension ChannelzService {
  static func channel(_ status: ChannelStatus) -> ChannelzV1.Channel {
    var channel = ChannelzV1.Channel()
    var ref = ChannelzV1.ChannelRef()
    ref.channelID = Int64(status.id)
    ref.name = status.target
    channel.ref = ref
    channel.data = data(status.target, status.state, status.calls)
    channel.subchannelRef = status.endpoints.map(subchannelRef)
    return channel
  }

  static func subchannel(_ status: ChannelStatus.EndpointStatus) -> ChannelzV1.Subchannel {
    var subchannel = ChannelzV1.Subchannel()
    subchannel.ref = subchannelRef(status)
    subchannel.data = data("\(status.endpoint)", status.state, status.calls)
    subchannel.socketRef = status.connections.map { socketRef($0.id) }
    return subchannel
  }

  static func server(_ status: ServerStatus) -> ChannelzV1.Server {
    var server = ChannelzV1.Server()
    var ref = ChannelzV1.ServerRef()
    ref.serverID = Int64(status.id)
    server.ref = ref
    var data = ChannelzV1.ServerData()
    data.callsStarted = Int64(status.calls.started)
    data.callsSucceeded = Int64(status.calls.succeeded)
    data.callsFailed = Int64(status.calls.failed)
    data.lastCallStartedTimestamp = status.calls.lastStart
    server.data = data
    return server
  }

  static func socket(_ status: ConnectionStatus) -> ChannelzV1.Socket {
    var socket = ChannelzV1.Socket()
    socket.ref = socketRef(status.id)
    var data = ChannelzV1.SocketData()
    data.streamsStarted = Int64(status.streams.started)
    data.streamsSucceeded = Int64(status.streams.succeeded)
    data.streamsFailed = Int64(status.streams.failed)
    data.messagesSent = Int64(status.messages.sent)
    data.messagesReceived = Int64(status.messages.received)
    data.keepAlivesSent = Int64(status.keepalivesSent)
    if status.isServed {
      data.lastRemoteStreamCreatedTimestamp = status.streams.lastStart
    } else {
      data.lastLocalStreamCreatedTimestamp = status.streams.lastStart
    }
    socket.data = data
    socket.local = status.localAddress.map(address)
    socket.remote = status.remoteAddress.map(address)
    if status.isEncrypted {
      var security = ChannelzV1.Security()
      security.tls = ChannelzV1.Security.Tls()
      socket.security = security
    }
    socket.remoteName = status.peer?.name ?? ""
    return socket
  }

  static func socketRef(_ id: Int) -> ChannelzV1.SocketRef {
    var ref = ChannelzV1.SocketRef()
    ref.socketID = Int64(id)
    return ref
  }

  private static func subchannelRef(
    _ status: ChannelStatus.EndpointStatus
  ) -> ChannelzV1.SubchannelRef {
    var ref = ChannelzV1.SubchannelRef()
    ref.subchannelID = Int64(status.id)
    ref.name = "\(status.endpoint)"
    return ref
  }

  private static func data(
    _ target: String,
    _ state: ConnectivityState,
    _ calls: CallCounts
  ) -> ChannelzV1.ChannelData {
    var data = ChannelzV1.ChannelData()
    var connectivity = ChannelzV1.ChannelConnectivityState()
    connectivity.state =
      switch state {
      case .idle: .idle
      case .connecting: .connecting
      case .ready: .ready
      case .transientFailure: .transientFailure
      case .shutdown: .shutdown
      }
    data.state = connectivity
    data.target = target
    data.callsStarted = Int64(calls.started)
    data.callsSucceeded = Int64(calls.succeeded)
    data.callsFailed = Int64(calls.failed)
    data.lastCallStartedTimestamp = calls.lastStart
    return data
  }

  private static func address(_ address: ConnectionAddress) -> ChannelzV1.Address {
    var message = ChannelzV1.Address()
    switch address {
    case .ip(let bytes, let port):
      var tcp = ChannelzV1.Address.TcpIpAddress()
      tcp.ipAddress = bytes
      tcp.port = Int32(port)
      message.address = .tcpipAddress(tcp)
    case .unix(let path):
      var unix = ChannelzV1.Address.UdsAddress()
      unix.filename = path
      message.address = .udsAddress(unix)
    }
    return message
  }
}

extension CallCounts {
  /// The time of the last start on the system's clock.
  fileprivate var lastStart: Protobuf.Timestamp? {
    guard let sinceLastStart else { return nil }
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let (seconds, attoseconds) = sinceLastStart.components
    var timestamp = Protobuf.Timestamp()
    timestamp.seconds = Int64(now.tv_sec) - seconds
    let nanos = Int64(now.tv_nsec) - attoseconds / 1_000_000_000
    timestamp.seconds -= nanos < 0 ? 1 : 0
    timestamp.nanos = Int32(nanos < 0 ? nanos + 1_000_000_000 : nanos)
    return timestamp
  }
}
