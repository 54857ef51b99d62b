/// Sends the responses of a streaming call.
///
/// May be used from any task; messages of one task go out in the order in which it wrote them.
public struct ResponseWriter<Message: RPCMessage>: Sendable {
  private enum Target: Sendable {
    case call(ServerCall)
    case closure(@Sendable (Message) async throws(RPCError) -> Void)
  }

  private let target: Target

  init(_ call: ServerCall) {
    target = .call(call)
  }

  /// Creates a writer that hands messages to a closure; for tests of handlers.
  public init(_ write: @escaping @Sendable (Message) async throws(RPCError) -> Void) {
    target = .closure(write)
  }

  /// Sends one message.
  ///
  /// Suspends while the client reads too slowly; throws CANCELLED or DEADLINE_EXCEEDED once the
  /// call is over. With `compressed` false the message goes as it is even where
  /// `ServerContext.compressResponses` was called.
  public func write(_ message: Message, compressed: Bool = true) async throws(RPCError) {
    switch target {
    case .call(let call):
      try await call.write(message, compressed: compressed)
    case .closure(let write): try await write(message)
    }
  }
}

/// The requests of a streaming call, in order.
///
/// One task may read it at a time.
public struct RequestStream<Message: RPCMessage>: AsyncSequence, Sendable {
  /// What the stream consists of.
  public typealias Element = Message
  /// How reading fails.
  public typealias Failure = RPCError

  private enum Source: Sendable {
    case call(ServerCall)
    case messages([Message])
  }

  private let source: Source

  init(_ call: ServerCall) {
    source = .call(call)
  }

  /// Creates a stream of given messages; for tests of handlers.
  public init(_ messages: [Message]) {
    source = .messages(messages)
  }

  /// Whether the message read last came compressed.
  var lastWasCompressed: Bool {
    if case .call(let call) = source { call.inbox.lastWasCompressed } else { false }
  }

  /// Starts to read.
  public func makeAsyncIterator() -> Iterator {
    switch source {
    case .call(let call): Iterator(call: call, rest: [])
    case .messages(let messages): Iterator(call: nil, rest: messages[...])
    }
  }

  /// Reads the stream.
  public struct Iterator: AsyncIteratorProtocol {
    fileprivate let call: ServerCall?
    fileprivate var rest: ArraySlice<Message>

    /// The next request, or nil once the client has sent its last.
    ///
    /// Throws INVALID_ARGUMENT for bytes that are not a message, and how the call ended, if it has.
    public mutating func next(
      isolation actor: isolated (any Actor)? = #isolation
    ) async throws(RPCError) -> Message? {
      guard let call else { return rest.popFirst() }
      guard let bytes = try await call.inbox.next(for: call) else { return nil }
      return try Message(slice: bytes)
    }

    /// The next request, or nil once the client has sent its last.
    public mutating func next() async throws(RPCError) -> Message? {
      try await next(isolation: #isolation)
    }
  }
}

extension RPCMessage {
  /// Decodes a message that was cut out of received bytes.
  init(slice: ArraySlice<UInt8>) throws(RPCError) {
    // A closure that throws a typed error does not pass through `withUnsafeBytes`; a result does.
    let result = slice.withUnsafeBytes { bytes -> Result<Self, RPCError> in
      do throws(RPCError) {
        return .success(try Self(serialized: bytes))
      } catch {
        return .failure(error)
      }
    }
    self = try result.get()
  }
}
