import RPC
import Testing

@testable import Gateway

@Suite("Errors") struct GatewayErrorTests {
  @Test("have OpenAI's body") func body() {
    let error = GatewayError.modelNotFound("a\"b")
    #expect(
      String(decoding: error.body, as: UTF8.self)
        == #"{"error":{"message":"The model 'a\"b' does not exist.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
    )
  }

  @Test(
    "come from a service's status",
    arguments: [
      (StatusCode.invalidArgument, 400), (.outOfRange, 400), (.failedPrecondition, 400),
      (.notFound, 404), (.resourceExhausted, 429), (.deadlineExceeded, 504), (.unavailable, 503),
      (.dataLoss, 500), (.internal, 500), (.unknown, 500), (.unimplemented, 500), (.aborted, 500),
      (.cancelled, 503),
    ]
  )
  func mapping(_ code: StatusCode, _ status: Int) {
    let error = GatewayError(RPCError(code, "secret detail"), from: "inference")
    #expect(error.status == status)
    let passesOn = [.invalidArgument, .outOfRange, .failedPrecondition, .notFound].contains(code)
    #expect(error.message.contains("secret detail") == passesOn)
    #expect((error.retryAfterSeconds != nil) == (status == 429 || status == 503))
  }

  @Test("of an unknown model name it") func model() {
    let error = GatewayError(RPCError(.notFound, "x"), from: "tokenizer", model: "m")
    #expect(error.reason == "model_not_found" && error.message.contains("'m'"))
  }

  @Test("repeat only so much of what a client sent") func quotable() {
    #expect("abc".quotable == "abc")
    #expect(String(repeating: "x", count: 5000).quotable.count == 101)
  }
}

@Suite("Routes") struct RouteTests {
  @Test(
    "are found by path",
    arguments: [
      ("/v1/chat/completions", Route.chat), ("/v1/chat/completions/", .chat), ("/v1/ner", .ner),
      ("/v1/models", .models), ("/v1/models/a", .model), ("/health", .health), ("/", nil),
      ("/v1", nil), ("/v1/models/a/b", nil), ("/v2/models", nil),
    ] as [(String, Route?)]
  )
  func paths(_ path: String, _ route: Route?) {
    #expect(Route(path: path) == route)
  }
}
