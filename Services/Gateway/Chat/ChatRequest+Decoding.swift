import JSON

extension ChatRequest {
  /// Reads and checks a request's JSON.
  ///
  /// Errors name the field as OpenAI's API does.
  init(json: JSONValue) throws(GatewayError) {
    guard case .object(let object) = json else { throw .type(of: "body", "an object", json) }
    let fields = JSONFields(object: object)
    try fields.refuseUnknown(Self.usedFields.union(Self.idleFields))
    guard let model = try fields.text("model", bytesMax: Limits.modelBytesMax), !model.isEmpty
    else {
      throw fields.missing("model")
    }
    self.init(model: model, messages: try Self.messages(of: fields))
    maxTokens = try Self.maxTokens(of: fields)
    temperature = try fields.number("temperature", in: 0...2).map { Float($0) }
    topP = try Self.topP(of: fields)
    // -1 is what vLLM's clients send for "off".
    topK = UInt32(max(0, try fields.integer("top_k", in: -1...Int128(UInt32.max)) ?? 0))
    // OpenAI's seed is signed, ours is its bit pattern; larger unsigned ones are taken as they are.
    seed = try fields.integer("seed", in: Int128(Int64.min)...Int128(UInt64.max))
      .map { UInt64(truncatingIfNeeded: $0) }
    stop = try Self.stop(of: fields)
    stream = try fields.bool("stream") ?? false
    includeUsage = try Self.includeUsage(of: fields, stream: stream)
    try Self.checkIdleFields(fields)
  }

  private static let usedFields: Set<String> = [
    "model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k",
    "seed", "stop", "stream", "stream_options",
  ]

  private static func topP(of fields: JSONFields) throws(GatewayError) -> Float? {
    guard let value = try fields.number("top_p", in: 0...1) else { return nil }
    guard value > 0 else {
      throw .invalid(
        "top_p",
        "decimal_below_min_value",
        "Invalid 'top_p': decimal below minimum value. Expected a value > 0, but got 0 instead."
      )
    }
    // A number too small for a Float still means the likeliest token alone.
    return max(Float(value), .leastNormalMagnitude)
  }

  private static func maxTokens(of fields: JSONFields) throws(GatewayError) -> UInt32? {
    let range: ClosedRange<Int128> = 1...Int128(UInt32.max)
    let old = try fields.integer("max_tokens", in: range)
    let new = try fields.integer("max_completion_tokens", in: range)
    if old != nil, new != nil {
      throw .invalid(
        "max_tokens",
        "invalid_parameter_combination",
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
      )
    }
    return (new ?? old).map { UInt32($0) }
  }

  private static func stop(of fields: JSONFields) throws(GatewayError) -> [String] {
    guard let value = fields.value("stop") else { return [] }
    if case .string = value { return [try stop(value, name: "stop")] }
    guard case .array(let items) = value else {
      throw .type(of: "stop", "a string or an array of strings", value)
    }
    try JSONFields.check(items, name: "stop", count: 0...Limits.stopsMax)
    var stops: [String] = []
    for (index, item) in items.enumerated() { stops.append(try stop(item, name: "stop[\(index)]")) }
    return stops
  }

  private static func stop(_ value: JSONValue, name: String) throws(GatewayError) -> String {
    let text = try JSONFields.text(value, name: name, bytesMax: Limits.textBytesMax)
    guard (1...Limits.stopCharactersMax).contains(text.unicodeScalars.count) else {
      throw .invalid(
        name,
        "invalid_value",
        "Invalid '\(name)': expected a string of 1 to \(Limits.stopCharactersMax) characters, "
          + "but got one of \(text.unicodeScalars.count) instead."
      )
    }
    return text
  }

  private static func includeUsage(
    of fields: JSONFields,
    stream: Bool
  ) throws(GatewayError) -> Bool {
    guard let value = fields.value("stream_options") else { return false }
    let options = try JSONFields(value, name: "stream_options")
    try options.refuseUnknown(["include_usage", "include_obfuscation"])
    guard stream else {
      throw .invalid(
        "stream_options",
        nil,
        "The 'stream_options' parameter is only allowed when 'stream' is enabled."
      )
    }
    _ = try options.bool("include_obfuscation")
    return try options.bool("include_usage") ?? false
  }
}
