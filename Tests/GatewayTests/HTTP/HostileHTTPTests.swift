import Foundation
import HummingbirdTesting
import Testing

@testable import Gateway

/// What a proxy in front of the gateway could understand in another way than the gateway does must
/// be refused: else one client's bytes become another's request.
@Suite("Hostile HTTP") struct HostileHTTPTests {
  private static let post = "POST /v1/ner HTTP/1.1\r\nhost: x\r\n"
  /// A request that must never be seen as one of its own.
  private static let smuggled = "GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"

  private static let ambiguous = [
    "a length and chunks":
      "\(post)content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n\(smuggled)",
    "chunks and a length":
      "\(post)transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n\(smuggled)",
    "two lengths": "\(post)content-length: 0\r\ncontent-length: 46\r\n\r\n\(smuggled)",
    "a list of lengths": "\(post)content-length: 0, 46\r\n\r\n\(smuggled)",
    "a signed length": "\(post)content-length: +0\r\n\r\n\(smuggled)",
    "a hexadecimal length": "\(post)content-length: 0x0\r\n\r\n\(smuggled)",
    "a length beyond 64 bits":
      "\(post)content-length: 18446744073709551616\r\n\r\n\(smuggled)",
    "chunks that are not last":
      "\(post)transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n\(smuggled)",
    "another encoding": "\(post)transfer-encoding: xchunked\r\n\r\n0\r\n\r\n\(smuggled)",
    "a space before the colon":
      "\(post)transfer-encoding : chunked\r\n\r\n0\r\n\r\n\(smuggled)",
    "a NUL in a header": "\(post)a: b\u{0}c\r\ncontent-length: 0\r\n\r\n\(smuggled)",
    "a chunk beyond 64 bits":
      "\(post)transfer-encoding: chunked\r\n\r\n10000000000000000\r\n\(smuggled)",
    "a lone carriage return":
      "\(post)a: b\rcontent-length: 5\r\n\r\n\(smuggled)",
    "HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\(smuggled)",
    "no version": "GET /v1/models\r\n\r\n\(smuggled)",
    "a path that is not ASCII": "GET /v1/m\u{f6}dels HTTP/1.1\r\nhost: x\r\n\r\n\(smuggled)",
  ]

  @Test(
    "what can be read in two ways is refused, and nothing after it is read",
    arguments: ambiguous.keys.sorted()
  )
  func refused(_ name: String) async throws {
    let text = try #require(Self.ambiguous[name])
    try await TestGateway.run { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try? await client.send(text)
      let answer = try await client.receiveAll()
      #expect(answer.hasPrefix("HTTP/1.1 400"), "\(answer)")
      #expect(answer.components(separatedBy: "HTTP/1.1 ").count == 2, "\(answer)")
      #expect(!answer.contains(#""object":"list""#))
      try await eventually { gateway.server.load.bodiesRead == (0, 0) }
    }
  }

  @Test("a HEAD is answered without a body, whatever the status", .timeLimit(.minutes(5)))
  func head() async throws {
    try await TestGateway.run { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      for path in ["/v1/models", "/v1/nothing", "/v1/ner", "/v1/models/nobody", "/health"] {
        try await client.send("HEAD \(path) HTTP/1.1\r\nhost: x\r\n\r\n")
      }
      try await client.send("GET /v1/models/chat HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
      let answers = try await client.receiveAll().components(separatedBy: "HTTP/1.1 ")
      #expect(
        answers.dropFirst().map { $0.prefix(3) } == ["200", "404", "405", "404", "503", "200"]
      )
      for answer in answers.dropFirst().dropLast() {
        #expect(answer.hasSuffix("\r\n\r\n") && answer.lowercased().contains("content-length: "))
        #expect(!answer.contains("{"), "\(answer)")
      }
      #expect(answers.last?.contains(#"{"id":"chat""#) == true)
    }
  }

  @Test(
    "a client that asks for the end of the connection gets it",
    .timeLimit(.minutes(5)),
    arguments: [
      "GET /v1/models HTTP/1.0\r\n\r\n",
      "GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
      "GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: Close\r\n\r\n",
      "GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: te, close\r\n\r\n",
    ]
  )
  func close(_ request: String) async throws {
    try await TestGateway.run { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.send(request)
      let answer = try await client.receiveAll()
      #expect(answer.hasPrefix("HTTP/1.1 200") && answer.contains(#""object":"list""#))
    }
  }

  @Test(
    "a client that asks for another protocol is answered in this one, and the connection ends",
    .timeLimit(.minutes(5)),
    arguments: ["h2c", "websocket"]
  )
  func upgrade(_ name: String) async throws {
    try await TestGateway.run { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      let headers = "connection: upgrade\r\nupgrade: \(name)\r\n"
      try await client.post(chatPath, chatBody(), headers: headers)
      let answer = try await client.receiveAll()
      #expect(answer.hasPrefix("HTTP/1.1 200") && answer.contains(#""finish_reason":"stop""#))
      #expect(answer.lowercased().contains("\r\nconnection: close\r\n"))
    }
  }

  @Test(
    "targets of any form are read by their path",
    .timeLimit(.minutes(5)),
    arguments: [
      ("GET http://other/v1/models", 200), ("GET /v1/models?a=b", 200), ("GET /v1/models/", 200),
      ("GET /v1/models/../../etc/passwd", 404), ("GET /v1/models/%2e%2e%2f%2e%2e%2fetc", 404),
      ("GET /v1/models/%00", 404),
      ("GET /v1/models/a\(String(repeating: "%cc%81%cc%a3", count: 1_000))", 404),
      ("GET /v1/models/%ff", 404), ("GET /v1/models/%", 404),
      ("GET /v1/models/..", 404), ("OPTIONS *", 404), ("OPTIONS /v1/models", 405),
      ("TRACE /v1/models", 405), ("POST /v1/models", 405), ("PUT /v1/ner", 405),
      ("CONNECT x:80", 404), ("GET /v1/models/\(String(repeating: "a", count: 10_000))", 404),
    ]
  )
  func targets(_ target: String, _ status: Int) async throws {
    try await TestGateway.run { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.send("\(target) HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
      let answer = try await client.receiveAll()
      #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(answer)")
      #expect(answer.utf8.count < 2000)
    }
  }

  @Test("requests sent ahead are answered in order") func pipelined() async throws {
    try await TestGateway.run { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      let body = chatBody(#""stream": true"#)
      let stream =
        "POST \(chatPath) HTTP/1.1\r\nhost: x\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
      let last = "GET /v1/models/chat HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
      try await client.send("\(stream)GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n\(stream)\(last)")
      let answers = try await client.receiveAll().components(separatedBy: "HTTP/1.1 ")
      #expect(answers.dropFirst().map { $0.prefix(3) } == ["200", "404", "200", "200"])
      #expect(answers.count == 5 && answers[1].contains("[DONE]") && answers[3].contains("[DONE]"))
    }
  }
}
