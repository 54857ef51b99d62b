import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import Testing

/// What channelz tells of the servers, channels and connections of this process.
///
/// Other tests have theirs at the same time: these ask by id.
@Suite(.timeLimit(.minutes(5))) struct ChannelzTests {
  /// A health service that knows one service.
  private struct Health: HealthV1.HealthService {
    func check(
      _ request: HealthV1.HealthCheckRequest,
      context: ServerContext
    ) async throws -> HealthV1.HealthCheckResponse {
      guard request.service.isEmpty else { throw RPCError(.notFound, "no such service") }
      return HealthV1.HealthCheckResponse()
    }

    func watch(
      _ request: HealthV1.HealthCheckRequest,
      context: ServerContext,
      responses: ResponseWriter<HealthV1.HealthCheckResponse>
    ) async throws {}
  }

  /// Runs `body` with a server that has answered two calls and failed one, and the channel they
  /// came over.
  private func withCalls(
    _ body: (RPCServer, RPCChannel, ChannelzV1.ChannelzClient) async throws -> Void
  ) async throws {
    let group = MultiThreadedEventLoopGroup.singleton
    var router = Router()
    router.register(Health())
    router.register(ChannelzService())
    let server = RPCServer(router: router, configuration: ServerConfiguration(), group: group)
    let port = try await server.start().port ?? 0
    let channel = RPCChannel(host: "127.0.0.1", port: port, group: group)
    do {
      let health = HealthV1.HealthClient(channel)
      for _ in 0..<2 { _ = try await health.check(HealthV1.HealthCheckRequest()) }
      var unknown = HealthV1.HealthCheckRequest()
      unknown.service = "absent"
      _ = try? await health.check(unknown)
      try await body(server, channel, ChannelzV1.ChannelzClient(channel))
    } catch {
      await channel.close()
      await server.shutdown(grace: .zero)
      throw error
    }
    await channel.close()
    await server.shutdown(grace: .zero)
  }

  @Test func `a server tells its calls and its connections`() async throws {
    try await withCalls { server, _, client in
      var request = ChannelzV1.GetServerRequest()
      request.serverID = Int64(server.id)
      let told = try #require(try await client.getServer(request).server)
      let data = try #require(told.data)
      #expect(told.ref?.serverID == Int64(server.id))
      // The call that asks has begun, too.
      #expect(data.callsStarted == 4)
      #expect(data.callsSucceeded == 2)
      #expect(data.callsFailed == 1)
      #expect((data.lastCallStartedTimestamp?.seconds ?? 0) > 1_600_000_000)

      var socketsRequest = ChannelzV1.GetServerSocketsRequest()
      socketsRequest.serverID = Int64(server.id)
      let sockets = try await client.getServerSockets(socketsRequest)
      #expect(sockets.socketRef.count == 1)
      #expect(sockets.end)
      var socketRequest = ChannelzV1.GetSocketRequest()
      socketRequest.socketID = try #require(sockets.socketRef.first?.socketID)
      let socket = try #require(try await client.getSocket(socketRequest).socket)
      #expect(socket.data?.streamsStarted == 6)
      #expect(socket.data?.streamsSucceeded == 4)
      #expect(socket.data?.streamsFailed == 1)
      #expect(socket.data?.messagesReceived == 6)
      #expect(socket.data?.messagesSent == 4)
      #expect(socket.data?.lastRemoteStreamCreatedTimestamp != nil)
      #expect(socket.data?.lastLocalStreamCreatedTimestamp == nil)
      #expect(socket.security == nil)
      guard case .tcpipAddress(let remote) = socket.remote?.address else {
        Issue.record("\(socket)")
        return
      }
      #expect(remote.ipAddress == [127, 0, 0, 1])
      #expect(remote.port > 0)
    }
  }

  @Test func `a channel tells its calls, its endpoints and their connections`() async throws {
    try await withCalls { _, channel, client in
      var request = ChannelzV1.GetChannelRequest()
      request.channelID = Int64(channel.id)
      let told = try #require(try await client.getChannel(request).channel)
      let status = await channel.status()
      #expect(told.ref?.name == status.target)
      #expect(told.data?.state?.state == .ready)
      #expect(told.data?.callsStarted == 4)
      #expect(told.data?.callsSucceeded == 2)
      #expect(told.data?.callsFailed == 1)

      var subchannelRequest = ChannelzV1.GetSubchannelRequest()
      subchannelRequest.subchannelID = try #require(told.subchannelRef.first?.subchannelID)
      let subchannel = try #require(try await client.getSubchannel(subchannelRequest).subchannel)
      #expect(subchannel.data?.target == status.target)
      #expect(subchannel.data?.callsStarted == 5)
      #expect(subchannel.data?.callsSucceeded == 3)

      var socketRequest = ChannelzV1.GetSocketRequest()
      socketRequest.socketID = try #require(subchannel.socketRef.first?.socketID)
      let socket = try #require(try await client.getSocket(socketRequest).socket)
      #expect(socket.data?.streamsStarted == 6)
      #expect(socket.data?.streamsSucceeded == 4)
      #expect(socket.data?.messagesSent == 6)
      #expect(socket.data?.messagesReceived == 4)
      #expect(socket.data?.lastLocalStreamCreatedTimestamp != nil)
      #expect(socket.data?.lastRemoteStreamCreatedTimestamp == nil)
    }
  }

  @Test func `lists come in pages, by id`() async throws {
    try await withCalls { server, channel, client in
      var channels = ChannelzV1.GetTopChannelsRequest()
      channels.startChannelID = Int64(channel.id)
      channels.maxResults = 1
      let channelPage = try await client.getTopChannels(channels)
      #expect(channelPage.channel.map(\.ref?.channelID) == [Int64(channel.id)])

      var servers = ChannelzV1.GetServersRequest()
      servers.startServerID = Int64(server.id)
      servers.maxResults = 1
      let serverPage = try await client.getServers(servers)
      #expect(serverPage.server.map(\.ref?.serverID) == [Int64(server.id)])

      var sockets = ChannelzV1.GetServerSocketsRequest()
      sockets.serverID = Int64(server.id)
      sockets.startSocketID = .max
      let none = try await client.getServerSockets(sockets)
      #expect(none.socketRef.isEmpty)
      #expect(none.end)
    }
  }

  @Test func `what is not there is not found, and pages have sizes`() async throws {
    try await withCalls { server, channel, client in
      var request = ChannelzV1.GetSocketRequest()
      request.socketID = -1
      let absent = request
      let socket = await #expect(throws: RPCError.self) { try await client.getSocket(absent) }
      #expect(socket?.code == .notFound)
      // Ids are those of one kind.
      var wrongKind = ChannelzV1.GetServerRequest()
      wrongKind.serverID = Int64(channel.id)
      let asServer = wrongKind
      let server = await #expect(throws: RPCError.self) { try await client.getServer(asServer) }
      #expect(server?.code == .notFound)
      var negative = ChannelzV1.GetServersRequest()
      negative.maxResults = -1
      let bad = negative
      let page = await #expect(throws: RPCError.self) { try await client.getServers(bad) }
      #expect(page?.code == .invalidArgument)
    }
  }

  @Test func `servers and channels are forgotten with their end`() async throws {
    var ids: (server: Int, channel: Int) = (0, 0)
    try await withCalls { server, channel, _ in
      ids = (server.id, channel.id)
      #expect(LiveEntities.servers.contains { $0 === server })
      #expect(LiveEntities.channels.contains { $0 === channel })
      // Calls of connections that ended still count.
      let before = await server.status().calls
      #expect(before.started == 3)
      await channel.close()
      while await !server.status().connections.isEmpty { await Task.yield() }
      #expect(await server.status().calls == before)
    }
    #expect(!LiveEntities.servers.contains { $0.id == ids.server })
    #expect(!LiveEntities.channels.contains { $0.id == ids.channel })
  }
}
