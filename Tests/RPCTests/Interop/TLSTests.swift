import Foundation
import NIOSSL
import RPC
import Testing

@Suite(.timeLimit(.minutes(5)), .enabled(if: Peers.openssl != nil, "there is no openssl command"))
struct TLSTests {
  /// Makes a certificate for localhost that signs itself, in a folder that is removed after `body`.
  private func withCertificate(
    _ body: (_ certificate: String, _ key: String) async throws -> Void
  ) async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "rpc-tls-\(UUID().uuidString)"
    )
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let certificate = folder.appendingPathComponent("cert.pem").path
    let key = folder.appendingPathComponent("key.pem").path
    let made = try await Subprocess.run(
      try #require(Peers.openssl),
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        "-keyout", key, "-out", certificate,
      ]
    )
    try #require(made, "openssl made no certificate")
    try await body(certificate, key)
  }

  private func serverContext(
    _ certificate: String,
    _ key: String,
    protocols: [String] = ["h2"]
  )
    throws -> NIOSSLContext
  {
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
      privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
    )
    configuration.applicationProtocols = protocols
    return try NIOSSLContext(configuration: configuration)
  }

  private func clientConfiguration(trusting certificate: String?) throws -> ChannelConfiguration {
    var configuration = TLSConfiguration.makeClientConfiguration()
    if let certificate { configuration.trustRoots = .file(certificate) }
    configuration.applicationProtocols = ["h2"]
    var channel = ChannelConfiguration(tls: try NIOSSLContext(configuration: configuration))
    channel.tlsServerName = "localhost"
    return channel
  }

  @Test func `calls cross TLS`() async throws {
    try await withCertificate { certificate, key in
      let server = ServerConfiguration(tls: try serverContext(certificate, key))
      let client = try clientConfiguration(trusting: certificate)
      try await withLoopback(server: server, channel: client) { channel, _ in
        let large = Bytes([UInt8](repeating: 3, count: 1_000_000))
        for _ in 0..<5 {
          let response: Bytes = try await channel.unary(EchoMethods.unary, large)
          #expect(response == large)
        }
      }
    }
  }

  @Test func `a certificate that is not trusted is UNAVAILABLE`() async throws {
    try await withCertificate { certificate, key in
      let server = ServerConfiguration(tls: try serverContext(certificate, key))
      let client = try clientConfiguration(trusting: nil)
      try await withLoopback(server: server, channel: client) { channel, _ in
        let error = try await failure {
          try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
        }
        #expect(error.code == .unavailable)
        #expect(error.message.lowercased().contains("certificate"))
      }
    }
  }

  @Test func `a peer that does not agree on h2 is refused`() async throws {
    try await withCertificate { certificate, key in
      let server = ServerConfiguration(
        tls: try serverContext(certificate, key, protocols: ["http/1.1"])
      )
      let client = try clientConfiguration(trusting: certificate)
      try await withLoopback(server: server, channel: client) { channel, _ in
        let error = try await failure {
          try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
        }
        #expect(error.code == .unavailable)
      }
    }
  }

  @Test func `plain text to a TLS server is UNAVAILABLE and harms nobody`() async throws {
    try await withCertificate { certificate, key in
      let server = ServerConfiguration(tls: try serverContext(certificate, key))
      try await withServer(EchoService(), server) { _, port in
        let plain = RPCChannel(host: "127.0.0.1", port: port, group: testGroup)
        let error = try await failure {
          try await plain.unary(EchoMethods.unary, Bytes("x")) as Bytes
        }
        #expect(error.code == .unavailable)
        await plain.close()
        let channel = RPCChannel(
          host: "127.0.0.1",
          port: port,
          configuration: try clientConfiguration(trusting: certificate),
          group: testGroup
        )
        #expect(try await channel.unary(EchoMethods.unary, Bytes("x")) == Bytes("x"))
        await channel.close()
      }
    }
  }
}
