/// A checked request of `POST /v1/chat/completions`.
struct ChatRequest: Sendable, Equatable {
  /// One message, as the model's template takes it.
  struct Message: Sendable, Equatable {
    /// `system`, `user` or `assistant`.
    var role: String
    var content: String
  }

  /// Limits of what a request may hold.
  enum Limits {
    /// Longest model name, in bytes.
    static let modelBytesMax = 256
    /// Most messages.
    static let messagesMax = 1024
    /// Most text parts of one message.
    static let partsMax = 256
    /// Most text in all messages together, in bytes.
    ///
    /// The ids of the rendered prompt must fit in one answer of the tokenizer service.
    static let textBytesMax = 1 << 20
    /// Most stop texts.
    static let stopsMax = 16
    /// Longest stop text, in characters (Unicode scalars).
    static let stopCharactersMax = 256
    /// Longest value of a field that is accepted and not used, in bytes.
    static let remarkBytesMax = 4096
  }

  var model: String
  var messages: [Message]
  /// Most tokens to generate; nil: as many as the context leaves room for.
  var maxTokens: UInt32?
  /// 0 to 2; nil: OpenAI's default, 1.
  var temperature: Float?
  /// Greater than 0, at most 1.
  var topP: Float?
  /// 0: off.
  var topK: UInt32 = 0
  var seed: UInt64?
  var stop: [String] = []
  /// Answer with server-sent events.
  var stream = false
  /// End the stream with a chunk that holds the token counts.
  var includeUsage = false
}
