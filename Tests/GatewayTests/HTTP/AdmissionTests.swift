import HTTPTypes
import HummingbirdTesting
import ServiceKit
import Testing

@testable import Gateway

@Suite("Admission") struct AdmissionTests {
  private static let head = "POST \(chatPath) HTTP/1.1\r\nhost: x\r\ncontent-length: "

  @Test("a slow sender does not take the place of a request that is complete") func slow()
    async throws
  {
    try await TestGateway.run(adjust: { $0.load.workMax = 1 }) { gateway in
      let body = chatBody()
      let slow = try await RawClient.connect(port: gateway.client.port)
      try await slow.send("\(Self.head)\(body.utf8.count)\r\n\r\n{")
      try await eventually { gateway.server.load.bodiesRead == (1, 1) }
      #expect(try await gateway.post(chatPath, body).status == .ok)
      try await slow.send(String(body.dropFirst()))
      try await slow.receive("HTTP/1.1 200")
      try await eventually { gateway.server.load.bodiesRead == (0, 0) }
      try await eventually { gateway.server.load.workCount == 0 }
    }
  }

  @Test("bodies being read are bounded in number") func count() async throws {
    try await TestGateway.run(adjust: { $0.load.bodiesMax = 1 }) { gateway in
      let slow = try await RawClient.connect(port: gateway.client.port)
      try await slow.send("\(Self.head)10\r\n\r\n{")
      try await eventually { gateway.server.load.bodiesRead.count == 1 }
      let refused = try await gateway.post(chatPath, chatBody())
      #expect(refused.status == .tooManyRequests && refused.headers[.retryAfter] == "1")
      #expect(try await gateway.get("/v1/models").status == .ok)
      try await slow.close()
      try await eventually { gateway.server.load.bodiesRead == (0, 0) }
      #expect(try await gateway.post(chatPath, chatBody()).status == .ok)
    }
  }

  @Test("bodies being read are bounded in bytes") func bytes() async throws {
    try await TestGateway.run(adjust: { $0.load.bodyBytesMax = 1000 }) { gateway in
      let slow = try await RawClient.connect(port: gateway.client.port)
      try await slow.send("\(Self.head)2000\r\n\r\n\(String(repeating: " ", count: 950))")
      try await eventually { gateway.server.load.bodiesRead == (1, 950) }
      let refused = try await gateway.post(chatPath, chatBody())
      #expect(refused.status == .tooManyRequests)
      #expect(gateway.server.load.bodiesRead == (1, 950))
      try await slow.send(String(repeating: " ", count: 51))
      try await slow.receive("HTTP/1.1 429")
      try await eventually { gateway.server.load.bodiesRead == (0, 0) }
      #expect(try await gateway.post(chatPath, chatBody()).status == .ok)
    }
  }

  @Test(
    "every way out gives the places back",
    arguments: [
      "{", "[]", #"{"model": "nobody", "messages": [{"role": "user", "content": "x"}]}"#,
      #"{"model": "ner", "messages": [{"role": "user", "content": "x"}]}"#,
      #"{"model": "chat", "messages": [{"role": "king", "content": "x"}]}"#,
      #"{"model": "chat", "messages": [{"role": "user", "content": "\#(String(repeating: "x", count: 200))"}]}"#,
    ]
  )
  func waysOut(_ body: String) async throws {
    try await TestGateway.run { gateway in
      for path in [chatPath, "/v1/ner"] {
        let response = try await gateway.post(path, body)
        #expect((400..<500).contains(response.status.code))
        #expect(gateway.server.load.workCount == 0 && gateway.server.load.bodiesRead == (0, 0))
      }
      #expect(gateway.metrics.exposition().contains("gateway_http_requests_in_flight 0"))
    }
  }
}
