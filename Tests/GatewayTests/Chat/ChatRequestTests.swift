import Testing

@testable import Gateway

@Suite("Chat request") struct ChatRequestTests {
  /// A request whose `model` and `messages` are fine, with `fields` beside them.
  private func request(_ fields: String = "") throws -> ChatRequest {
    let rest = fields.isEmpty ? "" : ", \(fields)"
    return try ChatRequest(
      json: parse(#"{"model": "m", "messages": [{"role": "user", "content": "hi"}]\#(rest)}"#)
    )
  }

  private func messages(_ json: String) throws -> [ChatRequest.Message] {
    try ChatRequest(json: parse(#"{"model": "m", "messages": \#(json)}"#)).messages
  }

  @Test("has OpenAI's defaults") func defaults() throws {
    let request = try request()
    #expect(request.model == "m")
    #expect(request.messages == [.init(role: "user", content: "hi")])
    #expect(request.maxTokens == nil && request.temperature == nil && request.topP == nil)
    #expect(request.topK == 0 && request.seed == nil && request.stop.isEmpty)
    #expect(!request.stream && !request.includeUsage)
  }

  @Test("takes every field it uses") func fields() throws {
    let request = try request(
      #"""
      "max_completion_tokens": 7, "temperature": 0, "top_p": 0.5, "top_k": 40, "seed": -1,
      "stop": ["a", "b"], "stream": true, "stream_options": {"include_usage": true}
      """#
    )
    #expect(request.maxTokens == 7 && request.temperature == 0 && request.topP == 0.5)
    #expect(request.topK == 40 && request.seed == .max && request.stop == ["a", "b"])
    #expect(request.stream && request.includeUsage)
  }

  @Test("takes the old name of the token limit, and null for no limit") func tokens() throws {
    #expect(try request(#""max_tokens": 7"#).maxTokens == 7)
    #expect(try request(#""max_tokens": null"#).maxTokens == nil)
  }

  @Test("maps the edges of sampling") func sampling() throws {
    #expect(try request(#""top_p": 1e-300"#).topP == .leastNormalMagnitude)
    #expect(try request(#""top_k": -1"#).topK == 0)
    #expect(try request(#""seed": 18446744073709551615"#).seed == .max)
    #expect(try request(#""stop": "x""#).stop == ["x"])
    #expect(try request(#""stop": []"#).stop == [])
    #expect(try request(#""temperature": 2"#).temperature == 2)
  }

  @Test("takes content as text or as parts, and developer for system") func content() throws {
    let json = #"""
      [{"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
       {"role": "assistant", "content": "", "refusal": null, "tool_calls": [], "annotations": [],
        "audio": null, "function_call": null},
       {"role": "system", "content": "s", "name": "x"}]
      """#
    #expect(
      try messages(json) == [
        .init(role: "system", content: "a\nb"), .init(role: "assistant", content: ""),
        .init(role: "system", content: "s"),
      ]
    )
  }

  @Test(
    "tolerates what changes nothing",
    arguments: [
      #""presence_penalty": 0"#, #""frequency_penalty": 0.0"#, #""logprobs": false"#, #""n": 1"#,
      #""tools": []"#, #""tool_choice": "none""#, #""tool_choice": "auto""#, #""logit_bias": {}"#,
      #""response_format": {"type": "text"}"#, #""user": "u""#, #""metadata": {"a": "b"}"#,
      #""store": false"#, #""service_tier": "auto""#, #""modalities": ["text"]"#,
      #""parallel_tool_calls": true"#, #""top_logprobs": null"#, #""tools": null"#,
      #""reasoning_effort": null"#, #""logit_bias": null"#, #""stream_options": null"#,
      #""stream": true, "stream_options": {"include_obfuscation": false}"#,
    ]
  )
  func tolerated(_ fields: String) throws {
    #expect(throws: Never.self) { try request(fields) }
  }

  @Test(
    "refuses a wrong field by name",
    arguments: [
      (
        #""temperature": -1"#, "temperature", "decimal_below_min_value",
        "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1 instead."
      ),
      (
        #""temperature": 2.5"#, "temperature", "decimal_above_max_value",
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead."
      ),
      (
        #""temperature": "0.5""#, "temperature", "invalid_type",
        "Invalid type for 'temperature': expected a decimal number, but got a string instead."
      ),
      (
        #""temperature": true"#, "temperature", "invalid_type",
        "Invalid type for 'temperature': expected a decimal number, but got a boolean instead."
      ),
      (
        #""top_p": 1.1"#, "top_p", "decimal_above_max_value",
        "Invalid 'top_p': decimal above maximum value. Expected a value <= 1, but got 1.1 instead."
      ),
      (
        #""top_p": 0"#, "top_p", "decimal_below_min_value",
        "Invalid 'top_p': decimal below minimum value. Expected a value > 0, but got 0 instead."
      ),
      (
        #""max_tokens": 0"#, "max_tokens", "integer_below_min_value",
        "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead."
      ),
      (
        #""max_tokens": 1.5"#, "max_tokens", "invalid_type",
        "Invalid type for 'max_tokens': expected an integer, but got a decimal number instead."
      ),
      (
        #""max_completion_tokens": 4294967296"#, "max_completion_tokens", "integer_above_max_value",
        "Invalid 'max_completion_tokens': integer above maximum value. Expected a value <= 4294967295, but got 4294967296 instead."
      ),
      (
        #""max_tokens": 1, "max_completion_tokens": 1"#, "max_tokens",
        "invalid_parameter_combination",
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
      ),
      (
        #""top_k": -2"#, "top_k", "integer_below_min_value",
        "Invalid 'top_k': integer below minimum value. Expected a value >= -1, but got -2 instead."
      ),
      (
        #""max_tokens": 18446744073709551615"#, "max_tokens", "integer_above_max_value",
        "Invalid 'max_tokens': integer above maximum value. Expected a value <= 4294967295, but got 18446744073709551615 instead."
      ),
      (
        #""max_tokens": 100000000000000000000"#, "max_tokens", "integer_above_max_value",
        "Invalid 'max_tokens': integer above maximum value. Expected a value <= 4294967295, but got 100000000000000000000 instead."
      ),
      (
        #""seed": -9223372036854775809000"#, "seed", "integer_below_min_value",
        "Invalid 'seed': integer below minimum value. Expected a value >= -9223372036854775808, but got -9223372036854775808000 instead."
      ),
      (
        #""temperature": 1e308"#, "temperature", "decimal_above_max_value",
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 1e+308 instead."
      ),
      (
        #""top_p": -0"#, "top_p", "decimal_below_min_value",
        "Invalid 'top_p': decimal below minimum value. Expected a value > 0, but got 0 instead."
      ),
      (
        #""seed": 1e3"#, "seed", "invalid_type",
        "Invalid type for 'seed': expected an integer, but got a decimal number instead."
      ),
      (
        #""stream": 1"#, "stream", "invalid_type",
        "Invalid type for 'stream': expected a boolean, but got an integer instead."
      ),
      (
        #""stop": {}"#, "stop", "invalid_type",
        "Invalid type for 'stop': expected a string or an array of strings, but got an object instead."
      ),
      (
        #""stop": ["a", 1]"#, "stop[1]", "invalid_type",
        "Invalid type for 'stop[1]': expected a string, but got an integer instead."
      ),
      (
        #""stop": """#, "stop", "invalid_value",
        "Invalid 'stop': expected a string of 1 to 256 characters, but got one of 0 instead."
      ),
      (
        #""stop": "a\u0000""#, "stop", "invalid_value",
        "Invalid 'stop': the text contains a NUL character (U+0000)."
      ),
      (
        #""stop": ["1","2","3","4","5","6","7","8","9","0","1","2","3","4","5","6","7"]"#, "stop",
        "array_above_max_length",
        "Invalid 'stop': array too long. Expected an array with maximum length 16, but got an array with length 17 instead."
      ),
      (
        #""stream_options": {"include_usage": true}"#, "stream_options", nil,
        "The 'stream_options' parameter is only allowed when 'stream' is enabled."
      ),
      (
        #""stream": true, "stream_options": {"x": 1}"#, "stream_options.x", "unknown_parameter",
        "Unknown parameter: 'stream_options.x'."
      ),
      (
        #""stream": true, "stream_options": []"#, "stream_options", "invalid_type",
        "Invalid type for 'stream_options': expected an object, but got an empty array instead."
      ),
      (#""foo": 1"#, nil, nil, "Unrecognized request argument supplied: foo"),
      (
        #""n": 2"#, "n", "unsupported_parameter",
        "Unsupported parameter: 'n' is not supported with this value. Only 1 is."
      ),
      (
        #""n": 0"#, "n", "integer_below_min_value",
        "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead."
      ),
    ] as [(String, String?, String?, String)]
  )
  func refused(_ fields: String, _ parameter: String?, _ reason: String?, _ message: String) throws
  {
    let error = #expect(throws: GatewayError.self) { try request(fields) }
    #expect(error?.code == .invalidRequest)
    #expect(error?.parameter == parameter)
    #expect(error?.reason == reason)
    #expect(error?.message == message)
  }

  @Test(
    "refuses by name what it cannot do",
    arguments: [
      ("tools", #"[{"type": "function"}]"#), ("functions", #"[{}]"#),
      ("tool_choice", #""required""#),
      ("response_format", #"{"type": "json_object"}"#), ("logprobs", "true"), ("top_logprobs", "2"),
      ("logit_bias", #"{"1": 2}"#), ("presence_penalty", "0.1"), ("frequency_penalty", "-1"),
      ("audio", "{}"), ("modalities", #"["text", "audio"]"#), ("store", "true"),
      ("reasoning_effort", #""low""#), ("service_tier", #""priority""#), ("verbosity", #""low""#),
      ("web_search_options", "{}"),
    ]
  )
  func unsupported(_ field: String, _ value: String) throws {
    let error = #expect(throws: GatewayError.self) { try request(#""\#(field)": \#(value)"#) }
    #expect(error?.parameter == field)
    #expect(error?.reason == "unsupported_parameter")
    #expect(error?.status == 400)
  }

  @Test(
    "refuses wrong messages by place",
    arguments: [
      ("[]", "messages", "empty_array"), ("{}", "messages", "invalid_type"),
      ("null", "messages", "missing_required_parameter"), ("[1]", "messages[0]", "invalid_type"),
      (#"[{"content": "x"}]"#, "messages[0].role", "missing_required_parameter"),
      (#"[{"role": "bot", "content": "x"}]"#, "messages[0].role", "invalid_value"),
      (#"[{"role": "tool", "content": "x"}]"#, "messages[0].role", "invalid_value"),
      (#"[{"role": "user"}]"#, "messages[0].content", "missing_required_parameter"),
      (#"[{"role": "user", "content": null}]"#, "messages[0].content", "invalid_type"),
      (#"[{"role": "user", "content": 5}]"#, "messages[0].content", "invalid_type"),
      (#"[{"role": "user", "content": []}]"#, "messages[0].content", "empty_array"),
      (#"[{"role": "user", "content": ["x"]}]"#, "messages[0].content[0]", "invalid_type"),
      (
        #"[{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]"#,
        "messages[0].content[0].type", "invalid_value"
      ),
      (
        #"[{"role": "user", "content": [{"type": "text"}]}]"#, "messages[0].content[0].text",
        "missing_required_parameter"
      ),
      (#"[{"role": "user", "content": "a\u0000b"}]"#, "messages[0].content", "invalid_value"),
      (#"[{"role": "user", "content": "x", "foo": 1}]"#, "messages[0].foo", "unknown_parameter"),
      (
        #"[{"role": "assistant", "content": "x", "tool_calls": [{}]}]"#, "messages[0].tool_calls",
        "unsupported_parameter"
      ),
    ]
  )
  func wrongMessages(_ json: String, _ parameter: String, _ reason: String) throws {
    let error = #expect(throws: GatewayError.self) { try messages(json) }
    #expect(error?.parameter == parameter)
    #expect(error?.reason == reason)
  }

  @Test("takes time linear in hostile names and words", .timeLimit(.minutes(5))) func hostile() {
    // Swift's own comparison and hash would take an hour for these.
    let marks = "a" + String(repeating: "\u{301}\u{323}", count: 250_000)
    for (fields, parameter) in [
      (#""\#(marks)": 1"#, nil), (#""tool_choice": "\#(marks)""#, "tool_choice"),
      (#""modalities": ["\#(marks)"]"#, "modalities"),
      (#""stream_options": {"\#(marks)": 1}"#, "stream_options."),
    ] {
      let error = #expect(throws: GatewayError.self) { try request(fields) }
      #expect(error?.parameter?.hasPrefix(parameter ?? "x") != false)
      #expect(error.map { $0.message.utf8.count < 1000 } == true)
    }
    for part in [#"{"type": "\#(marks)"}"#, #"{"type": "text", "\#(marks)": 1}"#] {
      #expect(throws: GatewayError.self) {
        try messages(#"[{"role": "user", "content": [\#(part)]}]"#)
      }
    }
  }

  @Test("bounds messages and texts") func bounds() throws {
    let one = #"{"role": "user", "content": "x"}"#
    let max = ChatRequest.Limits.messagesMax
    func list(_ count: Int) -> String {
      "[" + Array(repeating: one, count: count).joined(separator: ",") + "]"
    }
    #expect(try messages(list(max)).count == max)
    #expect(throws: GatewayError.self) { try messages(list(max + 1)) }
    let half = String(repeating: "x", count: ChatRequest.Limits.textBytesMax / 2 + 1)
    let message = #"{"role": "user", "content": "\#(half)"}"#
    #expect(throws: Never.self) { try messages("[\(message)]") }
    let error = #expect(throws: GatewayError.self) { try messages("[\(message),\(message)]") }
    #expect(error?.parameter == "messages")
    #expect(error?.reason == "context_length_exceeded")
  }

  @Test(
    "needs an object with a model",
    arguments: [
      ("[]", "body"), ("1", "body"), (#"{"messages": []}"#, "model"), (#"{"model": ""}"#, "model"),
      (#"{"model": 1}"#, "model"), (#"{"model": "m"}"#, "messages"),
    ]
  )
  func top(_ json: String, _ parameter: String) throws {
    let error = #expect(throws: GatewayError.self) { try ChatRequest(json: parse(json)) }
    #expect(error?.parameter == parameter)
  }
}
