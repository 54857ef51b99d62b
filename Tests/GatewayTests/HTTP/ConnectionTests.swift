import Foundation
import HummingbirdTesting
import NIOCore
import RPC
import Testing

@testable import Gateway

@Suite("Connections") struct ConnectionTests {
  private static let large = 20_000_000

  @Test("a body with too large a length is refused before it is sent, and is read away")
  func tooLarge() async throws {
    try await TestGateway.run { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.send(
        "POST \(chatPath) HTTP/1.1\r\nhost: x\r\ncontent-length: \(Self.large)\r\n\r\n"
      )
      try await client.receive("HTTP/1.1 413")
      try await client.receive(#""code":"request_too_large""#)
      // A client that sends first and reads then must not be reset.
      for _ in 0..<20 { try await client.send(ByteBuffer(repeating: 0x20, count: Self.large / 20)) }
      let text = try await client.receiveAll()
      #expect(text.contains("Connection: close") || text.contains("connection: close"))
      #expect(text.components(separatedBy: "HTTP/1.1").count == 2)
    }
  }

  @Test("a body that turns out too large is refused while it is being sent") func chunked()
    async throws
  {
    try await TestGateway.run { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.send(
        "POST \(chatPath) HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
      )
      let chunk = ByteBuffer(string: "100000\r\n" + String(repeating: " ", count: 1 << 20) + "\r\n")
      for _ in 0..<20 { try await client.send(chunk) }
      try await client.receive("HTTP/1.1 413")
      try await client.send("0\r\n\r\n")
      _ = try await client.receiveAll()
    }
  }

  @Test("what is read after an answer is bounded", arguments: [true, false])
  func drain(_ byBytes: Bool) async throws {
    try await TestGateway.run(adjust: {
      if byBytes {
        $0.connection.drainBytesMax = 1 << 20
      } else {
        $0.connection.drainTime = .milliseconds(50)
      }
    }) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.send(
        "POST \(chatPath) HTTP/1.1\r\nhost: x\r\ncontent-length: \(Self.large)\r\n\r\n"
      )
      try await client.receive("HTTP/1.1 413")
      if byBytes {
        for _ in 0..<20 {
          try? await client.send(ByteBuffer(repeating: 0x20, count: Self.large / 20))
        }
      }
      _ = try await client.receiveAll()
    }
  }

  @Test("a body that does not arrive is timed out") func slowBody() async throws {
    try await TestGateway.run(adjust: { $0.limits.body.timeout = .milliseconds(50) }) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.send("POST \(chatPath) HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{")
      try await client.receive("HTTP/1.1 408")
      try await client.receive(#""code":"request_timeout""#)
      _ = try await client.receiveAll()
      #expect(gateway.server.load.workCount == 0)
    }
  }

  @Test("a connection without a request is closed after a while") func idle() async throws {
    try await TestGateway.run(adjust: { $0.idleTimeout = .milliseconds(50) }) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.send("GET /v1/mod")
      _ = try await client.receiveAll()
    }
  }

  @Test("a head that is not complete in time ends the connection, whatever came of it")
  func slowHead() async throws {
    try await TestGateway.run(adjust: { $0.connection.headTime = .milliseconds(50) }) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try? await client.send("GET /v1/mod")
      #expect(try await client.receiveAll() == "")
    }
  }

  @Test("a body is invited, one that is too large is not") func expect() async throws {
    try await TestGateway.run { gateway in
      let body = chatBody()
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.send(
        "POST \(chatPath) HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: \(body.utf8.count)\r\n\r\n"
      )
      try await client.receive("HTTP/1.1 100 Continue\r\n\r\n")
      try await client.send(body)
      try await client.receive("HTTP/1.1 200")
      let other = try await RawClient.connect(port: gateway.client.port)
      try await other.send(
        "POST \(chatPath) HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: \(Self.large)\r\n\r\n"
      )
      try await other.receive("HTTP/1.1 413")
      #expect(!other.text.contains("100 Continue"))
    }
  }

  private static let noHTTP = [
    "controls": ("\u{0}\u{1}\u{2}\r\n\r\n", 400),
    "a version of its own": ("GET / HTTP/9.9\r\n\r\n", 400),
    "a negative length": ("POST /v1/ner HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n", 400),
    "a long header": (
      "GET / HTTP/1.1\r\nhost: x\r\na: " + String(repeating: "b", count: 200_000) + "\r\n\r\n", 431
    ),
    "many headers": (
      "GET / HTTP/1.1\r\n" + String(repeating: "a: b\r\n", count: 200) + "\r\n", 431
    ),
    "chunks of no size": (
      "POST /v1/ner HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\n", 400
    ),
    "a body without a head": ("{\"model\": 1}\r\n\r\n", 400),
  ]

  @Test("bytes that are not HTTP get an error's body", arguments: noHTTP.keys.sorted())
  func notHTTP(_ name: String) async throws {
    let (text, status) = try #require(Self.noHTTP[name])
    try await TestGateway.run { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try? await client.send(text)
      let answer = try await client.receiveAll()
      #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(answer)")
      #expect(answer.lowercased().contains("x-request-id: "))
      #expect(answer.contains(#"{"error":{"message":"#))
      try await eventually { gateway.server.load.workCount == 0 }
    }
  }

  @Test("a silent stream is kept alive with comments") func ping() async throws {
    let suite = FakeSuite(generate: { request, context, responses in
      try await responses.write(.chunk("a"))
      try await Gate().wait()
    })
    try await TestGateway.run(suite, adjust: { $0.connection.pingInterval = .milliseconds(20) }) {
      gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.post(chatPath, chatBody(#""stream": true"#))
      try await client.receive(": ping\n\n")
      try await eventually { client.text.components(separatedBy: ": ping\n\n").count > 3 }
      try await client.close()
      try await eventually { gateway.suite.asked.cancelled == 1 }
    }
  }

  @Test("a stream that is slow to begin says so, and its failure is an event")
  func slowBegin() async throws {
    let gate = Gate()
    let suite = FakeSuite(generate: { _, _, _ in
      try await gate.wait()
      throw RPCError(.unavailable, "gone")
    })
    let adjust: (inout GatewaySettings) -> Void = {
      $0.limits.headDelay = .milliseconds(20)
      $0.connection.pingInterval = .milliseconds(20)
    }
    try await TestGateway.run(suite, adjust: adjust) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.post(chatPath, chatBody(#""stream": true"#))
      try await client.receive("HTTP/1.1 200")
      try await client.receive(#""role":"assistant""#)
      try await client.receive(": ping\n\n")
      gate.open()
      try await client.receive(#"data: {"error":"#)
      try await client.receive("\r\n0\r\n\r\n")
      #expect(!client.text.contains("[DONE]"))
      try await eventually { gateway.server.load.workCount == 0 }
    }
  }
}
