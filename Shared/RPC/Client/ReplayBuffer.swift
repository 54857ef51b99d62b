/// The messages that a call has sent, kept while it may be sent again on another stream.
struct ReplayBuffer {
  /// What is kept; a single message may be of any size, since it is shared and not copied.
  let limit: Int
  /// The messages sent so far; none once the call cannot be sent again.
  private(set) var messages: [[UInt8]] = []
  /// Whether everything sent so far is kept.
  private(set) var isComplete = true
  private var bytes = 0

  init(limit: Int) {
    self.limit = limit
  }

  /// Keeps a message; returns false, and forgets all, when it is too much.
  mutating func append(_ message: [UInt8]) -> Bool {
    guard isComplete else { return false }
    bytes += message.count
    if bytes > limit, !messages.isEmpty {
      drop()
      return false
    }
    messages.append(message)
    return true
  }

  /// The call is not sent again.
  mutating func drop() {
    isComplete = false
    messages = []
  }
}
