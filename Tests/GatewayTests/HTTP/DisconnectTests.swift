import HummingbirdTesting
import RPC
import ServiceKit
import Testing

@testable import Gateway

@Suite("A client that disconnects") struct DisconnectTests {
  /// Talks until it is cancelled.
  private static let endless: FakeSuite.Generate = { _, _, responses in
    while true {
      try await responses.write(.chunk("x"))
      try await Task.sleep(for: .milliseconds(1))
    }
  }

  @Test("cancels its generation, streamed or not", arguments: [true, false])
  func disconnect(_ isStream: Bool) async throws {
    try await TestGateway.run(FakeSuite(generate: Self.endless)) { gateway in
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
      let metrics = gateway.metrics.exposition()
      #expect(metrics.contains(#"status="499""#))
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
      try await eventually { gateway.server.load.workCount == 1 }
      try await client.close()
      try await eventually { gateway.server.load.workCount == 0 }
    }
  }
}
