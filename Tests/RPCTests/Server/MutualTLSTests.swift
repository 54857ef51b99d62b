import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import Testing

@testable import RPC

/// Certificates of clients, and certificates that change while the server runs.
@Suite(.timeLimit(.minutes(5)), .enabled(if: Peers.openssl != nil, "there is no openssl command"))
struct MutualTLSTests {
  private static let names =
    "DNS:alice.example,URI:spiffe://example/alice,email:alice@example.org,IP:127.0.0.1"

  private func server(
    _ pair: TestCertificates.Pair,
    _ certificates: TestCertificates,
    _ clients: TLSFiles.ClientCertificates = .none
  ) throws -> TLSReloader {
    try TLSReloader(
      server: TLSFiles(
        certificateChain: pair.certificate,
        privateKey: pair.key,
        clientRoots: certificates.authority.certificate,
        clientCertificates: clients
      ),
      interval: nil
    )
  }

  private func channel(
    _ certificates: TestCertificates,
    _ pair: TestCertificates.Pair? = nil
  ) throws -> ChannelConfiguration {
    var configuration = ChannelConfiguration()
    configuration.tlsReloader = try TLSReloader(
      client: TLSFiles(
        roots: certificates.authority.certificate,
        certificateChain: pair?.certificate,
        privateKey: pair?.key
      ),
      interval: nil
    )
    configuration.tlsServerName = "localhost"
    return configuration
  }

  /// Says who calls.
  private var whoAmI: EchoService {
    var service = EchoService()
    service.unary = { _, context in
      guard let peer = context.peer else { return "nobody" }
      let parts =
        [peer.commonName ?? "-"] + peer.dnsNames + peer.uris + peer.emails + [peer.name ?? "-"]
      return Bytes(parts.joined(separator: " "))
    }
    return service
  }

  @Test(arguments: [TLSFiles.ClientCertificates.required, .optional])
  func `a handler knows the names of the client's certificate`(
    mode: TLSFiles.ClientCertificates
  ) async throws {
    try await TestCertificates.with { certificates in
      let host = try await certificates.issue("s", commonName: "s", names: "DNS:localhost")
      let alice = try await certificates.issue("alice", commonName: "Alice", names: Self.names)
      var configuration = ServerConfiguration()
      configuration.tlsReloader = try server(host, certificates, mode)
      let client = try channel(certificates, alice)
      try await withLoopback(whoAmI, server: configuration, channel: client) { channel, _ in
        let answer: Bytes = try await channel.unary(EchoMethods.unary, Bytes("who am I?"))
        #expect(
          answer.text
            == "Alice alice.example spiffe://example/alice alice@example.org spiffe://example/alice"
        )
      }
    }
  }

  @Test(
    arguments: [(.none, "nobody"), (.optional, "nobody"), (.required, nil)]
      as [(TLSFiles.ClientCertificates, String?)]
  )
  func `a client without a certificate`(
    mode: TLSFiles.ClientCertificates,
    expected: String?
  ) async throws {
    try await TestCertificates.with { certificates in
      let host = try await certificates.issue("s", commonName: "s", names: "DNS:localhost")
      var configuration = ServerConfiguration()
      configuration.tlsReloader = try server(host, certificates, mode)
      let client = try channel(certificates)
      try await withLoopback(whoAmI, server: configuration, channel: client) { channel, _ in
        guard let expected else {
          let error = try await failure {
            try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
          }
          return #expect(error.code == .unavailable)
        }
        let answer: Bytes = try await channel.unary(EchoMethods.unary, Bytes("x"))
        #expect(answer.text == expected)
      }
    }
  }

  @Test(arguments: [TLSFiles.ClientCertificates.required, .optional])
  func `a certificate of another authority is refused`(
    mode: TLSFiles.ClientCertificates
  ) async throws {
    try await TestCertificates.with { certificates in
      try await TestCertificates.with { others in
        let host = try await certificates.issue("s", commonName: "s", names: "DNS:localhost")
        let mallory = try await others.issue("m", commonName: "Alice", names: Self.names)
        var configuration = ServerConfiguration()
        configuration.tlsReloader = try server(host, certificates, mode)
        let client = try channel(certificates, mallory)
        try await withLoopback(whoAmI, server: configuration, channel: client) { channel, _ in
          let error = try await failure {
            try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
          }
          #expect(error.code == .unavailable)
        }
      }
    }
  }

  @Test func `rates count by certificate, and an interceptor allows by it`() async throws {
    try await TestCertificates.with { certificates in
      let host = try await certificates.issue("s", commonName: "s", names: "DNS:localhost")
      var configuration = ServerConfiguration()
      configuration.tlsReloader = try server(host, certificates, .required)
      configuration.callLimits.ratePerPeer = CallRate(perSecond: 0.001, burst: 1)
      var router = Router()
      router.register(whoAmI)
      router.intercept { context, handler in
        guard context.peer?.uris == ["spiffe://example/alice"] else {
          throw RPCError(.permissionDenied, "only alice may call \(context.method.path)")
        }
        guard context.metadata.first("x-tenant") == "a" else {
          throw RPCError(.unauthenticated, "the call names no tenant")
        }
        try await handler()
      }
      let rpc = RPCServer(router: router, configuration: configuration, group: testGroup)
      var codes: [String: StatusCode] = [:]
      for (name, tenant) in [("alice", "a"), ("bob", "a"), ("alice", "a")] {
        let pair = try await certificates.issue(
          name,
          commonName: name,
          names: "URI:spiffe://example/\(name)"
        )
        let channel = rpc.inProcessChannel(configuration: try channel(certificates, pair))
        var options = CallOptions()
        options.metadata.add(tenant, for: "x-tenant")
        do {
          _ = try await channel.unary(EchoMethods.unary, Bytes("x"), options: options) as Bytes
          codes[name] = .ok
        } catch let error as RPCError {
          codes[name] = error.code
        }
        await channel.close()
      }
      // Bob has a rate of his own and no permission; Alice's second call is one too many.
      #expect(codes == ["alice": .resourceExhausted, "bob": .permissionDenied])
      await rpc.shutdown(grace: .zero)
    }
  }

  // MARK: Reloading

  @Test func `a new pair serves new connections, old ones go on`() async throws {
    try await TestCertificates.with { certificates in
      let host = try await certificates.issue("s", commonName: "s", names: "DNS:localhost")
      let next = try await certificates.issue("n", commonName: "n", names: "DNS:next")
      var configuration = ServerConfiguration()
      let reloader = try server(host, certificates)
      configuration.tlsReloader = reloader
      try await withServer(EchoService(), configuration) { _, port in
        var client = try channel(certificates)
        let old = RPCChannel(
          host: "127.0.0.1",
          port: port,
          configuration: client,
          group: testGroup
        )
        #expect(try await old.unary(EchoMethods.unary, Bytes("1")) == Bytes("1"))
        #expect(try reloader.reload() == false)
        try certificates.replace(host, with: next)
        #expect(try reloader.reload())
        #expect(try await old.unary(EchoMethods.unary, Bytes("2")) == Bytes("2"))
        client.tlsServerName = "next"
        let new = RPCChannel(
          host: "127.0.0.1",
          port: port,
          configuration: client,
          group: testGroup
        )
        #expect(try await new.unary(EchoMethods.unary, Bytes("3")) == Bytes("3"))
        await old.close()
        await new.close()
      }
    }
  }

  @Test func `files that cannot be used leave the old pair, and the log says why once`()
    async throws
  {
    try await TestCertificates.with { certificates in
      let host = try await certificates.issue("s", commonName: "s", names: "DNS:localhost")
      let next = try await certificates.issue("n", commonName: "n", names: "DNS:next")
      let log = LogCapture()
      let reloader = try TLSReloader(
        server: TLSFiles(certificateChain: host.certificate, privateKey: host.key),
        interval: nil,
        logger: log.logger
      )
      let context = reloader.context
      let whole = try Data(contentsOf: URL(fileURLWithPath: next.certificate))
      let url = URL(fileURLWithPath: host.certificate)
      // Half of a certificate, none, one that is not the key's.
      for data in [whole.prefix(whole.count / 2), Data(), whole] {
        try data.write(to: url)
        #expect(throws: RPCError.self) { try reloader.reload() }
        reloader.look()
        reloader.look()
        #expect(reloader.context === context)
      }
      try FileManager.default.removeItem(at: url)
      reloader.look()
      #expect(log.lines.count { $0.hasPrefix("TLS certificates cannot be reloaded") } == 4)
      try certificates.replace(host, with: next)
      reloader.look()
      #expect(reloader.context !== context)
      #expect(log.lines.last?.hasPrefix("TLS certificates reloaded") == true)
    }
  }

  @Test func `files are looked at every interval`() async throws {
    try await TestCertificates.with { certificates in
      let host = try await certificates.issue("s", commonName: "s", names: "DNS:localhost")
      let next = try await certificates.issue("n", commonName: "n", names: "DNS:next")
      let log = LogCapture()
      let reloader = try TLSReloader(
        server: TLSFiles(certificateChain: host.certificate, privateKey: host.key),
        interval: nil,
        logger: log.logger
      )
      let context = reloader.context
      reloader.watch(every: .milliseconds(5), on: testGroup.next())
      try certificates.replace(host, with: next)
      await log.wait(for: "TLS certificates reloaded")
      #expect(reloader.context !== context)
    }
  }

  @Test func `files that are bad at the start are a clear error`() async throws {
    let error = try await failure {
      try TLSReloader(server: TLSFiles(certificateChain: "/no/cert", privateKey: "/no/key"))
    }
    #expect(error.code == .unavailable)
    #expect(error.message.contains("/no/cert"))
  }

  /// Speaks the first word after TLS, and then neither reads nor answers.
  private final class Silent: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      guard case .handshakeCompleted? = event as? TLSUserEvent else { return }
      let settings = ByteBuffer(bytes: RawFrame.settings.bytes)
      context.writeAndFlush(wrapOutboundOut(settings), promise: nil)
      // TLS waits for our close_notify when the client closes.
      _ = context.channel.setOption(.autoRead, value: false)
    }
  }

  @Test func `calls on a dead connection end with it, not when TLS has closed the socket`()
    async throws
  {
    try await TestCertificates.with { certificates in
      let pair = try await certificates.issue("server", commonName: "s", names: "DNS:localhost")
      let reloader = try server(pair, certificates)
      let accepted = NIOLoopBoundBox<[any Channel]>.makeBoxSendingValue(
        [],
        eventLoop: testGroup.next()
      )
      let listener = try await ServerBootstrap(group: testGroup)
        .childChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandlers([
              NIOSSLServerHandler(context: reloader.context), Silent(),
            ])
          }.flatMap {
            accepted.eventLoop.submit { accepted.value.append(channel) }
          }
        }
        .bind(host: "127.0.0.1", port: 0).get()
      var configuration = try channel(certificates)
      configuration.keepaliveInterval = .milliseconds(50)
      configuration.keepaliveTimeout = .milliseconds(50)
      let channel = RPCChannel(
        host: "127.0.0.1",
        port: listener.localAddress?.port ?? 0,
        configuration: configuration,
        group: testGroup
      )
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      }
      #expect(error.code == .unavailable)
      #expect(error.message.contains("no answer to a ping"), "\(error)")
      let status = await channel.status()
      #expect(status.endpoints.first?.connections.count == 1, "its socket lingers")
      let sockets = try await accepted.eventLoop.submit { accepted.value }.get()
      for socket in sockets { try? await socket.close() }
      try await listener.close()
      await channel.close()
    }
  }
}
