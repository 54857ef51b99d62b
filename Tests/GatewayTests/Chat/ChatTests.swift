import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import RPC
import ServiceAPI
import Testing

@testable import Gateway

let chatPath = Route.chat.rawValue

func chatBody(_ fields: String = "", model: String = "chat") -> String {
  let rest = fields.isEmpty ? "" : ", \(fields)"
  return #"{"model": "\#(model)", "messages": [{"role": "user", "content": "hi"}]\#(rest)}"#
}

extension TestResponse {
  var text: String { String(buffer: body) }

  var json: [String: Any] {
    (try? JSONSerialization.jsonObject(with: Data(body.readableBytesView))) as? [String: Any] ?? [:]
  }

  /// The fields of an error's body, as text.
  func error(_ field: String) -> String? {
    (json["error"] as? [String: Any])?[field].map { "\($0)" }
  }

  /// The `data:` lines of an event stream.
  var events: [String] {
    text.components(separatedBy: "\n\n").filter { $0.hasPrefix("data: ") }
      .map { String($0.dropFirst(6)) }
  }
}

extension TestGateway {
  @discardableResult
  func post(_ path: String, _ body: String, headers: HTTPFields = [:]) async throws -> TestResponse
  {
    try await client.execute(
      uri: path,
      method: .post,
      headers: headers,
      body: ByteBuffer(string: body)
    )
  }

  func get(_ path: String) async throws -> TestResponse {
    try await client.execute(uri: path, method: .get)
  }
}

@Suite("Chat") struct ChatTests {
  @Test("answers as OpenAI's API") func plain() async throws {
    try await TestGateway.run { gateway in
      let response = try await gateway.post(
        chatPath,
        chatBody(#""temperature": 0.5, "seed": 3, "stop": "x", "max_tokens": 9, "top_k": 4"#)
      )
      #expect(response.status == .ok)
      #expect(response.headers[.contentType] == "application/json")
      let choice = (response.json["choices"] as? [[String: Any]])?.first
      let message = choice?["message"] as? [String: Any]
      #expect(message?["content"] as? String == "Hello \"é\"\n")
      #expect(message?["role"] as? String == "assistant")
      #expect(choice?["finish_reason"] as? String == "stop")
      let usage = response.json["usage"] as? [String: Int]
      #expect(usage == ["prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5])
      #expect(response.json["model"] as? String == "chat")
      #expect(response.json["system_fingerprint"] as? String == "fp_0123456789ab")
      #expect((response.json["id"] as? String)?.hasPrefix("chatcmpl-") == true)
      let asked = gateway.suite.asked
      #expect(asked.rendered.map(\.model) == ["chat@1"])
      #expect(asked.rendered.first?.messages.map(\.content) == ["hi"])
      let request = try #require(asked.generated.first)
      #expect(request.promptIDs == [104, 105] && request.maxTokens == 9 && request.stop == ["x"])
      #expect(request.sampling?.temperature == 0.5 && request.sampling?.topK == 4)
      #expect(request.sampling?.seed == 3 && request.sampling?.topP == nil)
    }
  }

  @Test("leaves sampling to the service's defaults") func defaults() async throws {
    try await TestGateway.run { gateway in
      try await gateway.post(chatPath, chatBody())
      let request = try #require(gateway.suite.asked.generated.first)
      #expect(request.sampling == .init() && request.maxTokens == 0 && request.stop.isEmpty)
    }
  }

  @Test("streams server-sent events") func stream() async throws {
    try await TestGateway.run { gateway in
      let response = try await gateway.post(
        chatPath,
        chatBody(#""stream": true, "stream_options": {"include_usage": true}"#)
      )
      #expect(response.status == .ok)
      #expect(response.headers[.contentType] == "text/event-stream; charset=utf-8")
      #expect(response.events.count == 6 && response.events.last == "[DONE]")
      let chunks = try response.events.dropLast().map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
      #expect(Set(chunks.compactMap { $0["id"] as? String }).count == 1)
      let deltas = chunks.compactMap {
        ($0["choices"] as? [[String: Any]])?.first?["delta"] as? [String: Any]
      }
      #expect(deltas.first?["role"] as? String == "assistant")
      #expect(deltas.compactMap { $0["content"] as? String }.joined() == "Hello \"é\"\n")
      #expect(chunks.dropLast().allSatisfy { $0["usage"] is NSNull })
      #expect((chunks.last?["choices"] as? [Any])?.isEmpty == true)
      #expect((chunks.last?["usage"] as? [String: Int])?["total_tokens"] == 5)
    }
  }

  @Test("says a stream's finish reason and no usage unasked") func finish() async throws {
    let suite = FakeSuite(generate: { _, _, responses in
      try await responses.write(.complete(prompt: 1, completion: 1, reason: .length))
    })
    try await TestGateway.run(suite) { gateway in
      let response = try await gateway.post(chatPath, chatBody(#""stream": true"#))
      #expect(response.events.count == 3)
      #expect(response.events[1].contains(#""finish_reason":"length""#))
      #expect(!response.text.contains("usage"))
    }
  }

  @Test(
    "an error before the first token is a status of its own",
    arguments: [
      (StatusCode.invalidArgument, 400), (.notFound, 404), (.resourceExhausted, 429),
      (.internal, 500),
      (.unavailable, 503), (.deadlineExceeded, 504),
    ],
    [true, false]
  )
  func early(_ failure: (StatusCode, Int), _ isStream: Bool) async throws {
    let suite = FakeSuite(generate: { _, _, _ in throw RPCError(failure.0, "detail") })
    try await TestGateway.run(suite) { gateway in
      let response = try await gateway.post(chatPath, chatBody(#""stream": \#(isStream)"#))
      #expect(response.status.code == failure.1)
      #expect(response.error("message") != nil)
      #expect(response.text.contains("detail") == (failure.0 == .invalidArgument))
      let retry = [.resourceExhausted, .unavailable].contains(failure.0) ? "1" : nil
      #expect(response.headers[.retryAfter] == retry)
    }
  }

  @Test("an error after the first token ends the stream with an event and no [DONE]")
  func late() async throws {
    let suite = FakeSuite(generate: { _, _, responses in
      try await responses.write(.chunk("a"))
      throw RPCError(.unavailable, "detail")
    })
    try await TestGateway.run(suite) { gateway in
      let response = try await gateway.post(chatPath, chatBody(#""stream": true"#))
      #expect(response.status == .ok)
      #expect(
        response.events.last?.hasPrefix(#"{"error":{"message":"The answer was interrupted"#) == true
      )
      #expect(response.events.last?.contains("retry") == true)
      #expect(!response.text.contains("[DONE]") && !response.text.contains("detail"))
    }
  }

  @Test("a generation without an end is an error", arguments: [true, false])
  func incomplete(_ isStream: Bool) async throws {
    let suite = FakeSuite(generate: { _, _, responses in try await responses.write(.chunk("a")) })
    try await TestGateway.run(suite) { gateway in
      let response = try await gateway.post(
        chatPath,
        chatBody(#""stream": \#(isStream)"#),
        headers: [.requestID: "abc"]
      )
      #expect(response.text.contains("Request id: abc"))
      #expect(response.status == (isStream ? .ok : .internalServerError))
    }
  }

  @Test("refuses models that cannot chat, unknown ones and prompts that do not fit")
  func models() async throws {
    try await TestGateway.run { gateway in
      let unknown = try await gateway.post(chatPath, chatBody(model: "nobody"))
      #expect(unknown.status == .notFound)
      #expect(unknown.error("code") == "model_not_found")
      #expect(unknown.error("message") == "The model 'nobody' does not exist.")
      let ner = try await gateway.post(chatPath, chatBody(model: "ner"))
      #expect(ner.status == .badRequest && ner.error("param") == "model")
      #expect(ner.error("message")?.contains("'ner' is for token-classification") == true)
      let long = String(repeating: "x", count: 100)
      let body = #"{"model": "chat", "messages": [{"role": "user", "content": "\#(long)"}]}"#
      let tooLong = try await gateway.post(chatPath, body)
      #expect(tooLong.status == .badRequest && tooLong.error("code") == "context_length_exceeded")
      #expect(gateway.suite.asked.generated.isEmpty)
      for alias in ["chat@1", "chat@2", "chat@candidate"] {
        #expect(try await gateway.post(chatPath, chatBody(model: alias)).status == .ok)
      }
      #expect(try await gateway.post(chatPath, chatBody(model: "chat@3")).status == .notFound)
    }
  }

  @Test("passes the request id and the deadline on") func context() async throws {
    try await TestGateway.run { gateway in
      let given = try await gateway.post(chatPath, chatBody(), headers: [.requestID: "my-id_1"])
      #expect(given.headers[.requestID] == "my-id_1")
      let calls = gateway.suite.asked
      #expect(calls.requestIDs == ["my-id_1", "my-id_1"])
      for deadline in calls.deadlines {
        let deadline = try #require(deadline)
        #expect(deadline > .seconds(500) && deadline <= .seconds(600))
      }
      let bad = try await gateway.post(chatPath, chatBody(), headers: [.requestID: "a b"])
      #expect(bad.headers[.requestID] != nil && bad.headers[.requestID] != "a b")
    }
  }

  @Test("gives up at the request timeout", arguments: [true, false])
  func timeout(_ isStream: Bool) async throws {
    let suite = FakeSuite(generate: { _, _, _ in try await Gate().wait() })
    try await TestGateway.run(suite, adjust: { $0.limits.timeout = .milliseconds(50) }) { gateway in
      let response = try await gateway.post(chatPath, chatBody(#""stream": \#(isStream)"#))
      #expect(response.status == .gatewayTimeout)
      #expect(response.error("code") == "timeout")
    }
  }

  @Test("says when the services are not there") func unreachable() async throws {
    try await TestGateway.run(isReachable: false, adjust: { $0.readyTimeout = .milliseconds(50) }) {
      gateway in
      let response = try await gateway.post(chatPath, chatBody())
      #expect(response.status == .serviceUnavailable)
      #expect(response.headers[.retryAfter] == "1")
      let ner = try await gateway.post(Route.ner.rawValue, #"{"model": "ner", "inputs": "a"}"#)
      #expect(ner.status == .serviceUnavailable)
      #expect(try await gateway.get("/v1/models").status == .serviceUnavailable)
    }
  }
}
