import HummingbirdTesting
import NIOCore
import RPC
import ServiceKit
import Testing

@testable import Gateway

@Suite("A client that disconnects") struct DisconnectTests {
  /// Says one thing and then thinks until it is cancelled.
  private static let thoughtful: FakeSuite.Generate = { _, _, responses in
    try await responses.write(.chunk("x"))
    try await Gate().wait()
  }

  @Test("cancels its generation, streamed or not", arguments: [true, false])
  func disconnect(_ isStream: Bool) async throws {
    try await TestGateway.run(FakeSuite(generate: Self.thoughtful)) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.post(chatPath, chatBody(#""stream": \#(isStream)"#))
      if isStream {
        try await client.receive(#""content":"x""#)
      } else {
        try await eventually { !gateway.suite.asked.generated.isEmpty }
      }
      #expect(gateway.server.load.workCount == 1)
      try await client.close()
      try await eventually { gateway.suite.asked.cancelled == 1 }
      try await eventually { gateway.server.load.workCount == 0 }
      #expect(gateway.metrics.exposition().contains(#"status="499""#))
    }
  }

  @Test("cancels its generation before the first token") func silent() async throws {
    let suite = FakeSuite(generate: { _, _, _ in try await Gate().wait() })
    try await TestGateway.run(suite) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.post(chatPath, chatBody(#""stream": true"#))
      try await eventually { !gateway.suite.asked.generated.isEmpty }
      try await client.close()
      try await eventually { gateway.suite.asked.cancelled == 1 }
    }
  }

  @Test(
    "its own half only still gets its answer",
    .timeLimit(.minutes(5)),
    arguments: [true, false]
  )
  func halfClose(_ isStream: Bool) async throws {
    let gate = Gate()
    let suite = FakeSuite(generate: { request, context, responses in
      if isStream { try await responses.write(.chunk("x")) }
      try await gate.wait()
      try await FakeSuite.sayHello(request, context, responses)
    })
    try await TestGateway.run(suite) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.post(chatPath, chatBody(#""stream": \#(isStream)"#))
      if isStream {
        try await client.receive(#""content":"x""#)
      } else {
        try await eventually { !gateway.suite.asked.generated.isEmpty }
      }
      try await client.closeOutput()
      // What tells the gateway whether the client is there.
      try await client.receive(isStream ? ": ping\n\n" : "HTTP/1.1 100 Continue\r\n\r\n")
      gate.open()
      let text = try await client.receiveAll()
      #expect(text.contains("HTTP/1.1 200") && text.contains(#""finish_reason":"stop""#))
      #expect(text.contains("data: [DONE]") == isStream)
      try await eventually { gateway.server.load.workCount == 0 }
      #expect(gateway.suite.asked.cancelled == 0)
    }
  }

  @Test("its own half with its request still gets the answer") func halfCloseAtOnce() async throws {
    try await TestGateway.run { gateway in
      for _ in 0..<20 {
        let client = try await RawClient.connect(port: gateway.client.port)
        try await client.post(chatPath, chatBody())
        try await client.closeOutput()
        #expect(try await client.receiveAll().contains(#""finish_reason":"stop""#))
      }
    }
  }

  @Test("its own half of HTTP/1.0 counts as gone: nothing can be said to it before the answer")
  func halfCloseOfOldClient() async throws {
    try await TestGateway.run(FakeSuite(generate: Self.thoughtful)) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      let body = chatBody()
      try await client.send(
        "POST \(chatPath) HTTP/1.0\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
      )
      try await eventually { !gateway.suite.asked.generated.isEmpty }
      try await client.closeOutput()
      try await eventually { gateway.suite.asked.cancelled == 1 }
    }
  }

  @Test("cancels its generation when it stops reading first") func slowReader() async throws {
    let text = String(repeating: "x", count: 1 << 20)
    let suite = FakeSuite(generate: { _, _, responses in
      while true { try await responses.write(.chunk(text)) }
    })
    try await TestGateway.run(suite) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.stopReading()
      try await client.post(chatPath, chatBody(#""stream": true"#))
      try await eventually { !gateway.suite.asked.generated.isEmpty }
      try await client.close()
      try await eventually { gateway.suite.asked.cancelled == 1 }
    }
  }

  @Test("that reads nothing is given up after a while") func stalledReader() async throws {
    let text = String(repeating: "x", count: 1 << 20)
    let suite = FakeSuite(generate: { _, _, responses in
      while true { try await responses.write(.chunk(text)) }
    })
    let adjust: (inout GatewaySettings) -> Void = { $0.connection.stallTime = .milliseconds(50) }
    try await TestGateway.run(suite, adjust: adjust) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.stopReading()
      try await client.post(chatPath, chatBody(#""stream": true"#))
      try await eventually { gateway.suite.asked.cancelled == 1 }
      try await eventually { gateway.server.load.workCount == 0 }
    }
  }

  @Test("that reads nothing is given up at the request timeout") func stuckReader() async throws {
    let text = String(repeating: "x", count: 1 << 20)
    let suite = FakeSuite(generate: { _, _, responses in
      while true { try await responses.write(.chunk(text)) }
    })
    try await TestGateway.run(suite, adjust: { $0.limits.timeout = .seconds(2) }) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.stopReading()
      try await client.post(chatPath, chatBody(#""stream": true"#))
      try await eventually { gateway.server.load.workCount == 1 }
      try await eventually { gateway.server.load.workCount == 0 }
    }
  }

  @Test("in the midst of its body does no harm") func inBody() async throws {
    try await TestGateway.run { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.send("POST /v1/ner HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
      try await eventually { gateway.server.load.bodiesRead == (1, 1) }
      #expect(gateway.server.load.workCount == 0)
      try await client.close()
      try await eventually { gateway.server.load.bodiesRead == (0, 0) }
    }
  }
}
