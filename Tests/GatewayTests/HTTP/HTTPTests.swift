import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import RPC
import ServiceAPI
import ServiceKit
import Testing

@testable import Gateway

@Suite("HTTP") struct HTTPTests {
  @Test("a connection serves one request after the other") func keepAlive() async throws {
    try await TestGateway.run { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      for index in 1...3 {
        try await client.post(chatPath, chatBody(#""stream": \#(index == 2)"#))
        try await eventually { client.text.components(separatedBy: "HTTP/1.1 200").count > index }
        if index == 2 { try await client.receive("[DONE]") }
      }
      #expect(!client.isEnded)
    }
  }

  @Test("unknown paths and wrong methods are named") func paths() async throws {
    try await TestGateway.run { gateway in
      let unknown = try await gateway.get("/v1/nothing")
      #expect(unknown.status == .notFound && unknown.error("code") == "unknown_url")
      #expect(unknown.error("message") == "Unknown path: GET /v1/nothing.")
      let wrong = try await gateway.get("/v1/ner")
      #expect(wrong.status == .methodNotAllowed && wrong.headers[.allow] == "POST")
      let delete = try await gateway.client.execute(uri: "/v1/models", method: .delete)
      #expect(delete.status == .methodNotAllowed && delete.headers[.allow] == "GET, HEAD")
      #expect(delete.error("type") == "invalid_request_error")
      let head = try await gateway.client.execute(uri: "/v1/models", method: .head)
      #expect(head.status == .ok && head.body.readableBytes == 0)
      for response in [unknown, wrong, delete, head] {
        #expect(response.headers[.requestID]?.isEmpty == false)
      }
    }
  }

  @Test("models are listed and found by name, version and alias") func models() async throws {
    try await TestGateway.run { gateway in
      let list = try await gateway.get("/v1/models")
      let chat =
        #"{"id":"chat","object":"model","created":1700000000,"owned_by":"llmos","task":"text-generation","version":1,"context_tokens":100}"#
      let ner =
        #"{"id":"ner","object":"model","created":1700000000,"owned_by":"llmos","task":"token-classification","version":1,"context_tokens":12}"#
      let intents = ner.replacing("\"ner\"", with: "\"intents\"")
        .replacing("token-class", with: "text-class")
      #expect(list.text == #"{"object":"list","data":[\#(chat),\#(intents),\#(ner)]}"#)
      #expect(try await gateway.get("/v1/models/chat").text == chat)
      let second = try await gateway.get("/v1/models/chat%40candidate")
      #expect(
        second.text.contains(#""id":"chat@candidate""#) && second.text.contains(#""version":2"#)
      )
      let unknown = try await gateway.get("/v1/models/nobody")
      #expect(unknown.status == .notFound && unknown.error("code") == "model_not_found")
    }
  }

  @Test("the registry is asked once in a while, and for names that are not known")
  func catalog() async throws {
    let ages = ModelCatalog.Ages(list: .seconds(600), miss: .zero)
    try await TestGateway.run(adjust: { $0.catalogAges = ages }) { gateway in
      for _ in 0..<5 { _ = try await gateway.get("/v1/models/chat") }
      _ = try await gateway.post(chatPath, chatBody())
      #expect(gateway.suite.asked.lists == 1)
      #expect(try await gateway.get("/v1/models/nobody").status == .notFound)
      #expect(gateway.suite.asked.lists == 2)
    }
  }

  @Test("the registry's last answer outlives it") func catalogWithoutRegistry() async throws {
    let ages = ModelCatalog.Ages(list: .zero, miss: .zero)
    try await TestGateway.run(adjust: { $0.catalogAges = ages }) { gateway in
      _ = try await gateway.get("/v1/models")
      await gateway.server.backends.registry.channel.close()
      #expect(try await gateway.get("/v1/models/chat").status == .ok)
      #expect(try await gateway.get("/v1/models").status == .ok)
      #expect(try await gateway.post(chatPath, chatBody()).status == .ok)
      #expect(try await gateway.get("/v1/models/nobody").status == .serviceUnavailable)
      #expect(gateway.suite.asked.lists == 1)
    }
  }

  @Test("health follows the services", arguments: [true, false])
  func health(_ isServing: Bool) async throws {
    try await TestGateway.run(FakeSuite(isServing: isServing)) { gateway in
      #expect(try await gateway.get("/health").status == .serviceUnavailable)
      await gateway.server.probe.round()
      let response = try await gateway.get("/health")
      #expect(response.status == (isServing ? .ok : .serviceUnavailable))
      #expect(response.text.contains("NOT_SERVING") != isServing)
    }
  }

  @Test(
    "bad bodies get a clear answer",
    arguments: [
      ("{", 400, "not valid JSON: a key was expected at line 1, column 2"),
      ("", 400, "it ends early at line 1, column 1"),
      ("[1]", 400, "expected an object"),
      (String(repeating: "[", count: 65), 400, "nested deeper than 64"),
      (#"{"model": "chat", "messages": []}"#, 400, "'messages'"),
    ]
  )
  func bodies(_ body: String, _ status: Int, _ message: String) async throws {
    try await TestGateway.run { gateway in
      let response = try await gateway.post(chatPath, body)
      #expect(response.status.code == status)
      #expect(response.error("message")?.contains(message) == true, "\(response.text)")
    }
  }

  @Test("invalid UTF-8 is refused with its place") func utf8() async throws {
    try await TestGateway.run { gateway in
      let response = try await gateway.client.execute(
        uri: chatPath,
        method: .post,
        body: ByteBuffer(bytes: Array(#"{"a": ""#.utf8) + [0xff, 0x22, 0x7d])
      )
      #expect(response.status == .badRequest)
      #expect(
        response.error("message")?.contains("a string is not UTF-8 at line 1, column 8") == true
      )
    }
  }

  @Test("more requests than can be worked on are refused, and later served") func overload()
    async throws
  {
    let gate = Gate()
    let suite = FakeSuite(generate: { request, context, responses in
      if request.maxTokens == 1 { try await gate.wait() }
      try await FakeSuite.sayHello(request, context, responses)
    })
    try await TestGateway.run(suite, adjust: { $0.load.workMax = 1 }) { gateway in
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.post(chatPath, chatBody(#""max_tokens": 1, "stream": true"#))
      try await eventually { !gateway.suite.asked.generated.isEmpty }
      let refused = try await gateway.post(chatPath, chatBody())
      #expect(refused.status == .tooManyRequests && refused.headers[.retryAfter] == "1")
      #expect(refused.error("code") == "rate_limit_exceeded")
      #expect(refused.headers[.requestID] != nil)
      #expect(try await gateway.get("/v1/models").status == .ok)
      gate.open()
      try await client.receive("[DONE]")
      try await eventually { gateway.server.load.workCount == 0 }
      #expect(try await gateway.post(chatPath, chatBody()).status == .ok)
    }
  }

  @Test("requests are counted by route, never by path") func metrics() async throws {
    try await TestGateway.run { gateway in
      _ = try await gateway.get("/v1/models/chat")
      _ = try await gateway.get("/x/y/z")
      _ = try await gateway.post(chatPath, chatBody(#""stream": true"#))
      try await eventually {
        let text = gateway.metrics.exposition()
        return text.contains(
          #"gateway_http_requests_total{route="/v1/models/{id}",method="GET",status="200"} 1"#
        )
          && text.contains(
            #"gateway_http_requests_total{route="unmatched",method="GET",status="404"} 1"#
          )
          && text.contains(
            #"gateway_http_requests_total{route="/v1/chat/completions",method="POST",status="200"} 1"#
          )
          && text.contains("gateway_http_requests_in_flight 0")
          && text.contains("gateway_time_to_first_token_seconds_count 1")
      }
    }
  }
}
