import JSON

/// OpenAI's fields that the models here have no use for.
///
/// Clients send many of them with the value that means "nothing": that is accepted. A value that
/// would change the answer is refused by name, as leaving it out silently would be a wrong answer.
extension ChatRequest {
  static let idleFields: Set<String> = [
    "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "metadata", "modalities", "n", "parallel_tool_calls", "prediction", "presence_penalty",
    "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "response_format",
    "safety_identifier", "service_tier", "store", "tool_choice", "tools", "top_logprobs", "user",
    "verbosity", "web_search_options",
  ]

  static func checkIdleFields(_ fields: JSONFields) throws(GatewayError) {
    try checkRemarks(fields)
    try checkNumbers(fields)
    try checkTools(fields)
    for field in ["audio", "web_search_options"] where fields.value(field) != nil {
      throw fields.unsupported(field)
    }
    for field in ["logprobs", "store"] where try fields.bool(field) == true {
      throw fields.unsupported(field)
    }
    let words = [
      "service_tier": ["auto", "default"], "reasoning_effort": ["none"], "verbosity": ["medium"],
    ]
    for (field, allowed) in words.sorted(by: { $0.key < $1.key }) {
      guard let word = try fields.text(field, bytesMax: Limits.remarkBytesMax) else { continue }
      guard allowed.contains(where: word.isSame) else { throw fields.unsupported(field) }
    }
    if let modalities = try fields.array("modalities", count: 1...Limits.partsMax),
      modalities.count != 1 || !modalities[0].isString("text")
    {
      throw fields.unsupported("modalities")
    }
    try checkResponseFormat(fields)
  }

  /// Fields that never change an answer.
  private static func checkRemarks(_ fields: JSONFields) throws(GatewayError) {
    for field in ["user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"] {
      _ = try fields.text(field, bytesMax: Limits.remarkBytesMax)
    }
    // `prediction` only speeds an answer up; `metadata` is kept with stored answers.
    for field in ["metadata", "prediction"] {
      guard let value = fields.value(field) else { continue }
      guard case .object = value else { throw .type(of: field, "an object", value) }
    }
    _ = try fields.bool("parallel_tool_calls")
  }

  private static func checkNumbers(_ fields: JSONFields) throws(GatewayError) {
    for field in ["frequency_penalty", "presence_penalty"] {
      if let penalty = try fields.number(field, in: -2...2), penalty != 0 {
        throw fields.unsupported(field, "Only 0 is.")
      }
    }
    if let count = try fields.integer("n", in: 1...128), count != 1 {
      throw fields.unsupported("n", "Only 1 is.")
    }
    if let count = try fields.integer("top_logprobs", in: 0...20), count != 0 {
      throw fields.unsupported("top_logprobs")
    }
    if let value = fields.value("logit_bias") {
      guard case .object(let biases) = value else {
        throw .type(of: "logit_bias", "an object", value)
      }
      guard biases.count == 0 else { throw fields.unsupported("logit_bias") }
    }
  }

  private static func checkTools(_ fields: JSONFields) throws(GatewayError) {
    for field in ["tools", "functions"] {
      if let value = fields.value(field) {
        guard case .array(let items) = value else { throw .type(of: field, "an array", value) }
        guard items.isEmpty else { throw fields.unsupported(field) }
      }
    }
    for field in ["tool_choice", "function_call"] {
      if let value = fields.value(field), !value.isString("none"),
        !value.isString("auto")
      {
        throw fields.unsupported(field)
      }
    }
  }

  private static func checkResponseFormat(_ fields: JSONFields) throws(GatewayError) {
    guard let value = fields.value("response_format") else { return }
    let format = try JSONFields(value, name: "response_format")
    guard let type = try format.text("type", bytesMax: Limits.remarkBytesMax) else {
      throw format.missing("type")
    }
    guard type.isSame("text") else {
      throw fields.unsupported("response_format", "Only {\"type\": \"text\"} is.")
    }
    try format.refuseUnknown(["type"])
  }
}
