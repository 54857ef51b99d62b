public import RPC

/// `grpc.channelz.v1.Channelz`: what the servers, channels and connections of this process do.
/// https://github.com/grpc/proposal/blob/master/A14-channelz.md
///
/// It tells whom the process talks to: register it where that is no secret.
public struct ChannelzService: ChannelzV1.ChannelzService {
  /// The most results of one answer.
  static let resultsMax = 100

  /// Creates the service.
  public init() {}

  /// The channels of the process.
  public func getTopChannels(
    _ request: ChannelzV1.GetTopChannelsRequest,
    context: ServerContext
  ) async throws -> ChannelzV1.GetTopChannelsResponse {
    let channels = LiveEntities.channels.filter { $0.id >= request.startChannelID }
    let page = try Self.page(channels, request.maxResults)
    var response = ChannelzV1.GetTopChannelsResponse()
    for channel in page.results { response.channel.append(Self.channel(await channel.status())) }
    response.end = page.isLast
    return response
  }

  /// The servers of the process.
  public func getServers(
    _ request: ChannelzV1.GetServersRequest,
    context: ServerContext
  ) async throws -> ChannelzV1.GetServersResponse {
    let servers = LiveEntities.servers.filter { $0.id >= request.startServerID }
    let page = try Self.page(servers, request.maxResults)
    var response = ChannelzV1.GetServersResponse()
    for server in page.results { response.server.append(Self.server(await server.status())) }
    response.end = page.isLast
    return response
  }

  /// One server.
  public func getServer(
    _ request: ChannelzV1.GetServerRequest,
    context: ServerContext
  ) async throws -> ChannelzV1.GetServerResponse {
    var response = ChannelzV1.GetServerResponse()
    response.server = Self.server(await (try Self.findServer(request.serverID)).status())
    return response
  }

  /// The connections of one server.
  public func getServerSockets(
    _ request: ChannelzV1.GetServerSocketsRequest,
    context: ServerContext
  ) async throws -> ChannelzV1.GetServerSocketsResponse {
    let status = await (try Self.findServer(request.serverID)).status()
    let sockets = status.connections.map(\.id).filter { $0 >= request.startSocketID }.sorted()
    let page = try Self.page(sockets, request.maxResults)
    var response = ChannelzV1.GetServerSocketsResponse()
    response.socketRef = page.results.map(Self.socketRef)
    response.end = page.isLast
    return response
  }

  /// One channel.
  public func getChannel(
    _ request: ChannelzV1.GetChannelRequest,
    context: ServerContext
  ) async throws -> ChannelzV1.GetChannelResponse {
    guard let channel = LiveEntities.channels.first(where: { $0.id == request.channelID }) else {
      throw Self.notFound("channel", request.channelID)
    }
    var response = ChannelzV1.GetChannelResponse()
    response.channel = Self.channel(await channel.status())
    return response
  }

  /// One endpoint of a channel.
  public func getSubchannel(
    _ request: ChannelzV1.GetSubchannelRequest,
    context: ServerContext
  ) async throws -> ChannelzV1.GetSubchannelResponse {
    for channel in LiveEntities.channels {
      let endpoints = await channel.status().endpoints
      guard let endpoint = endpoints.first(where: { $0.id == request.subchannelID }) else {
        continue
      }
      var response = ChannelzV1.GetSubchannelResponse()
      response.subchannel = Self.subchannel(endpoint)
      return response
    }
    throw Self.notFound("subchannel", request.subchannelID)
  }

  /// One connection.
  public func getSocket(
    _ request: ChannelzV1.GetSocketRequest,
    context: ServerContext
  ) async throws -> ChannelzV1.GetSocketResponse {
    guard let connection = await Self.findConnection(request.socketID) else {
      throw Self.notFound("socket", request.socketID)
    }
    var response = ChannelzV1.GetSocketResponse()
    response.socket = Self.socket(connection)
    return response
  }

  // MARK: Finding

  private static func page<Entity>(
    _ entities: [Entity],
    _ wanted: Int64
  ) throws(RPCError) -> (results: [Entity], isLast: Bool) {
    guard wanted >= 0 else {
      throw RPCError(.invalidArgument, "channelz: max_results \(wanted), at least 0")
    }
    let count = wanted == 0 ? resultsMax : Int(min(wanted, Int64(resultsMax)))
    return (Array(entities.prefix(count)), entities.count <= count)
  }

  private static func findServer(_ id: Int64) throws(RPCError) -> RPCServer {
    guard let server = LiveEntities.servers.first(where: { $0.id == id }) else {
      throw notFound("server", id)
    }
    return server
  }

  private static func findConnection(_ id: Int64) async -> ConnectionStatus? {
    for server in LiveEntities.servers {
      if let found = await server.status().connections.first(where: { $0.id == id }) {
        return found
      }
    }
    for channel in LiveEntities.channels {
      let connections = await channel.status().endpoints.flatMap(\.connections)
      if let found = connections.first(where: { $0.id == id }) { return found }
    }
    return nil
  }

  private static func notFound(_ kind: String, _ id: Int64) -> RPCError {
    RPCError(.notFound, "channelz: no \(kind) has the id \(id)")
  }
}
