/// Why a model stopped.
enum ChatFinishReason: String, Sendable, Equatable {
  /// An end-of-sequence token or a stop text.
  case stop
  /// The most tokens asked for, or the end of the context.
  case length
}

/// Token counts of a completion.
struct ChatUsage: Sendable, Equatable {
  var promptTokens: UInt32
  var completionTokens: UInt32

  fileprivate func append(to json: inout JSONText) {
    json.raw(#"{"prompt_tokens":"#)
    json.number(promptTokens)
    json.raw(#","completion_tokens":"#)
    json.number(completionTokens)
    json.raw(#","total_tokens":"#)
    json.number(UInt64(promptTokens) + UInt64(completionTokens))
    json.raw("}")
  }
}

/// What all parts of one completion's answer share.
struct ChatCompletionHead: Sendable {
  /// `chatcmpl-…`.
  var id: String
  /// Seconds since 1970.
  var created: Int
  /// The model as the caller named it.
  var model: String
  /// Names the software that answered.
  var systemFingerprint: String

  /// A plain answer: one `chat.completion` object.
  func completion(text: String, finish: ChatFinishReason, usage: ChatUsage) -> [UInt8] {
    var json = JSONText(capacity: text.utf8.count + 512)
    json.raw("{")
    append(object: "chat.completion", to: &json)
    json.raw(#","choices":[{"index":0,"message":{"role":"assistant","content":"#)
    json.string(text)
    json.raw(#","refusal":null},"logprobs":null,"finish_reason":"#)
    json.string(finish.rawValue)
    json.raw(#"}],"usage":"#)
    usage.append(to: &json)
    json.raw("}")
    return json.bytes
  }

  fileprivate func append(object: String, to json: inout JSONText) {
    json.raw(#""id":"#)
    json.string(id)
    json.raw(#","object":"#)
    json.string(object)
    json.raw(#","created":"#)
    json.number(created)
    json.raw(#","model":"#)
    json.string(model)
    json.raw(#","system_fingerprint":"#)
    json.string(systemFingerprint)
  }
}

/// Writes the events of a streamed completion: `data: {chat.completion.chunk}` and an empty line.
///
/// Everything but the text is the same in every chunk, so it is written once; a token costs one
/// buffer and the escaping of its text.
struct ChatStreamFrames: Sendable {
  /// Ends a complete stream.
  static let done = Array("data: [DONE]\n\n".utf8)

  private let head: ChatCompletionHead
  /// A frame up to the choices.
  private let start: [UInt8]
  /// A frame's end after the choices.
  private let end: [UInt8]

  /// `includeUsage`: chunks carry `usage`, null in all but the last.
  init(head: ChatCompletionHead, includeUsage: Bool) {
    self.head = head
    var json = JSONText()
    json.raw("data: {")
    head.append(object: "chat.completion.chunk", to: &json)
    json.raw(#","choices":["#)
    start = json.bytes
    end = Array((includeUsage ? "],\"usage\":null}\n\n" : "]}\n\n").utf8)
  }

  /// The first chunk: who speaks.
  var role: [UInt8] {
    start
      + #"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"#
      .utf8 + #""finish_reason":null}"#.utf8 + end
  }

  /// A piece of the answer, appended to `frames`.
  func append(text: String, to frames: inout [UInt8]) {
    frames += start
    frames += #"{"index":0,"delta":{"content":""#.utf8
    JSONText.escape(text, into: &frames)
    frames += #""},"logprobs":null,"finish_reason":null}"#.utf8
    frames += end
  }

  /// The chunk that says why the model stopped.
  func finish(_ reason: ChatFinishReason) -> [UInt8] {
    start + #"{"index":0,"delta":{},"logprobs":null,"finish_reason":""#.utf8
      + reason.rawValue.utf8 + #""}"#.utf8 + end
  }

  /// The extra chunk with the token counts: no choices.
  func usage(_ usage: ChatUsage) -> [UInt8] {
    var json = JSONText()
    json.raw(start)
    json.raw(#"],"usage":"#)
    usage.append(to: &json)
    json.raw("}\n\n")
    return json.bytes
  }

  /// An error after the stream has begun; no `[DONE]` follows.
  static func error(_ error: GatewayError) -> [UInt8] {
    Array("data: ".utf8) + error.body + Array("\n\n".utf8)
  }
}
