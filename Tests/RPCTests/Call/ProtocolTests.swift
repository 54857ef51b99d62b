import NIOCore
import Testing

@testable import RPC

/// What a server answers to requests that our own client would never send.
@Suite(.timeLimit(.minutes(5))) struct ProtocolTests {
  private static func head(
    path: String = "/test.Echo/Unary",
    _ changes: [String: String?] = [:]
  ) -> [HeaderField] {
    var fields = [
      HeaderField(":method", "POST"), HeaderField(":scheme", "http"), HeaderField(":path", path),
      HeaderField(":authority", "a"), HeaderField("te", "trailers"),
      HeaderField("content-type", "application/grpc"),
    ]
    fields = fields.compactMap { field in
      guard let change = changes[field.name] else { return field }
      return change.map { HeaderField(field.name, $0) }
    }
    for (name, value) in changes where fields.first(name) == nil {
      if let value { fields.append(HeaderField(name, value)) }
    }
    return fields
  }

  private static let hello: [UInt8] = [0, 0, 0, 0, 5] + Array("hello".utf8)

  private func status(_ events: [HTTP2Event]) -> String? {
    for event in events {
      switch event {
      case .head(_, let fields, _, _), .trailers(_, let fields, _):
        if let status = fields.first("grpc-status") { return status }
      default: break
      }
    }
    return nil
  }

  private func httpStatus(_ events: [HTTP2Event]) -> String? {
    for case .head(_, let fields, _, _) in events { return fields.first(":status") }
    return nil
  }

  @Test(arguments: [
    ("application/grpc", "200"), ("application/grpc+proto", "200"),
    ("application/grpc;charset=utf-8", "200"), ("application/grpc-web", "415"),
    ("application/json", "415"), ("text/html", "415"), (nil, "415"),
  ])
  func `a content-type that is not gRPC's is 415`(type: String?, expected: String) async throws {
    try await withServer { _, port in
      let events = try await RawPeer.exchange(
        port: port,
        Self.head(["content-type": type]),
        Self.hello
      )
      #expect(httpStatus(events) == expected)
      #expect(status(events) == (expected == "200" ? "0" : nil))
    }
  }

  @Test func `a method other than POST is 405`() async throws {
    try await withServer { _, port in
      let events = try await RawPeer.exchange(port: port, Self.head([":method": "GET"]))
      #expect(httpStatus(events) == "405")
    }
  }

  @Test(
    arguments: [
      (["te": nil], "13"), (["grpc-timeout": "1x"], "13"), (["grpc-timeout": "123456789S"], "13"),
      (["grpc-timeout": "0n"], "4"), (["grpc-encoding": "snappy"], "12"),
      (["grpc-encoding": "gzip"], "0"),
      (["grpc-encoding": "identity"], "0"), (["grpc-timeout": "5S"], "0"),
      (["key-bin": "!not base64!"], "0"),
    ] as [([String: String?], String)]
  )
  func `request headers are checked`(changes: [String: String?], expected: String) async throws {
    try await withServer { _, port in
      let events = try await RawPeer.exchange(port: port, Self.head(changes), Self.hello)
      #expect(httpStatus(events) == "200")
      #expect(status(events) == expected)
      if changes["grpc-encoding"] == "snappy",
        case .head(_, let fields, _, _)? = events.first(where: {
          if case .head = $0 { true } else { false }
        })
      {
        #expect(fields.first("grpc-accept-encoding") == "identity,gzip")
      }
    }
  }

  @Test(
    arguments: [
      ([UInt8](), "12"), (hello + hello, "12"), (Array(hello.dropLast()), "13"), ([0, 0], "13"),
      ([1, 0, 0, 0, 1, 0], "13"), ([9, 0, 0, 0, 1, 0], "13"), ([0, 0xff, 0xff, 0xff, 0xff], "8"),
      ([0, 0, 0, 0, 1, 0xff], "3"),
    ] as [([UInt8], String)]
  )
  func `a unary request is exactly one plain message`(body: [UInt8], expected: String) async throws
  {
    try await withServer { _, port in
      let events = try await RawPeer.exchange(port: port, Self.head(), body)
      #expect(status(events) == expected)
    }
  }

  @Test func `a response before the end of the request is followed by a reset`() async throws {
    var service = EchoService()
    service.collect = { _, _ in "early" }
    try await withServer(service) { _, port in
      let events = try await RawPeer.exchange(
        port: port,
        Self.head(path: "/test.Echo/Collect"),
        Self.hello,
        end: false
      )
      #expect(status(events) == "0")
      #expect(events.map(\.brief).last == "closed 1 NO_ERROR")
    }
  }

  @Test func `metadata above the limit is answered`() async throws {
    try await withServer { _, port in
      let fields = (0..<10).map {
        HeaderField("large-\($0)", String(repeating: "x", count: 10_000))
      }
      let events = try await RawPeer.exchange(port: port, Self.head() + fields, Self.hello)
      #expect(status(events) == "8")
    }
  }

  @Test func `what is not HTTP/2 is cut and the next client is served`() async throws {
    try await withServer { _, port in
      let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
      let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
      let hostile: [[UInt8]] = [
        Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8),
        [UInt8](repeating: 0xff, count: 1000),
        preface + [0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1],
        preface + settings + [0, 0, 1, 1, 5, 0, 0, 0, 1, 0xff],
        preface + settings + [0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
        preface + settings + [0, 0, 1, 0, 0, 0, 0, 0, 0, 1],
        preface + settings + [0, 0, 0, 9, 4, 0, 0, 0, 1],
      ]
      for bytes in hostile {
        try await RawPeer.sendUntilClosed(port: port, bytes)
        let events = try await RawPeer.exchange(port: port, Self.head(), Self.hello)
        #expect(status(events) == "0")
      }
    }
  }

  @Test func `a client that does not finish its handshake is closed`() async throws {
    var configuration = ServerConfiguration()
    configuration.handshakeTimeout = .milliseconds(100)
    try await withServer(EchoService(), configuration) { _, port in
      try await RawPeer.sendUntilClosed(port: port, [])
      try await RawPeer.sendUntilClosed(port: port, Array("PRI * HTTP/2.0\r\n".utf8))
    }
  }

  @Test func `connections above the limit are closed`() async throws {
    var configuration = ServerConfiguration()
    configuration.maxConnections = 2
    try await withServer(EchoService(), configuration) { _, port in
      let (_, first) = try await RawPeer.connect(port: port)
      let (_, second) = try await RawPeer.connect(port: port)
      try await RawPeer.sendUntilClosed(port: port, [])
      try? await first.close()
      try? await second.close()
    }
  }

  @Test func `a client that resets streams in a row is cut`() async throws {
    var configuration = ServerConfiguration()
    configuration.earlyResetBurst = 100
    configuration.earlyResetsPerSecond = 1
    try await withServer(EchoService(), configuration) { _, port in
      let client = try HTTP2Session(role: .client)
      var bytes: [UInt8] = []
      for _ in 0..<200 {
        guard let stream = client.submitRequest(Self.head(), endStream: false) else { break }
        try client.drain(into: &bytes)
        client.reset(stream, .cancel)
        try client.drain(into: &bytes)
      }
      try await RawPeer.sendUntilClosed(port: port, bytes)
      let events = try await RawPeer.exchange(port: port, Self.head(), Self.hello)
      #expect(status(events) == "0")
    }
  }

  @Test func `a client that stays below the limits may cancel for long`() async throws {
    try await withLoopback { channel, _ in
      for _ in 0..<2_000 {
        let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
          EchoMethods.expand,
          Bytes("abc")
        )
        var iterator = responses.makeAsyncIterator()
        _ = try await iterator.next()
        responses.cancel()
      }
      #expect(try await channel.unary(EchoMethods.unary, Bytes("x")) == Bytes("x"))
    }
  }
}
