/// The response of a unary call with the metadata around it.
public struct UnaryResponse<Message: RPCMessage>: Sendable {
  /// The response.
  public let message: Message
  /// The metadata that came before it.
  public let initialMetadata: Metadata
  /// The metadata that came with the status.
  public let trailingMetadata: Metadata
}

/// Sends the requests of a streaming call.
///
/// May be used from any task; messages of one task go out in the order in which it wrote them.
public struct RequestWriter<Message: RPCMessage>: Sendable {
  private let call: ClientCall

  init(_ call: ClientCall) {
    self.call = call
  }

  /// Sends one message.
  ///
  /// Suspends while the server reads too slowly; throws how the call ended once it has. With
  /// `compressed` false the message goes as it is even where `CallOptions.compression` is set.
  public func write(_ message: Message, compressed: Bool = true) async throws(RPCError) {
    let encoding = compressed ? call.encoding : .identity
    try await call.outbox.write(MessageFraming.frame(message, encoding), for: call)
  }

  /// States that no request follows.
  public func finish() {
    call.outbox.finish(for: call)
  }
}

/// The responses of a streaming call, in order.
///
/// One task may read it at a time.
///
/// It ends with nil after a status of OK and throws any other. Dropping it, or cancelling the task
/// that reads it, resets the call's stream.
public struct ResponseStream<Message: RPCMessage>: AsyncSequence, Sendable {
  /// What the stream consists of.
  public typealias Element = Message
  /// How reading fails.
  public typealias Failure = RPCError

  private let reader: ResponseReader

  init(_ call: ClientCall, _ lifetime: ChannelLifetime) {
    reader = ResponseReader(call, lifetime)
  }

  /// The metadata that came before the first response; nil until then.
  public var initialMetadata: Metadata? { reader.call.initialMetadata }

  /// The metadata that came with the status; nil until then.
  public var trailingMetadata: Metadata? { reader.call.trailingMetadata }

  /// Whether the message read last came compressed.
  var lastWasCompressed: Bool { reader.call.inbox.lastWasCompressed }

  /// Ends the call with CANCELLED; without effect when it is over.
  public func cancel() {
    reader.call.cancel()
  }

  /// Starts to read.
  public func makeAsyncIterator() -> Iterator {
    Iterator(reader: reader)
  }

  /// Reads the stream.
  public struct Iterator: AsyncIteratorProtocol {
    fileprivate let reader: ResponseReader

    /// The next response, or nil after the last one of a call that succeeded.
    public mutating func next(
      isolation actor: isolated (any Actor)? = #isolation
    ) async throws(RPCError) -> Message? {
      guard let bytes = try await reader.call.inbox.next(for: reader.call) else { return nil }
      return try Message(response: bytes)
    }

    /// The next response, or nil after the last one of a call that succeeded.
    public mutating func next() async throws(RPCError) -> Message? {
      try await next(isolation: #isolation)
    }
  }
}

/// Both halves of a bidirectional call.
public struct BidirectionalCall<Request: RPCMessage, Response: RPCMessage>: Sendable {
  /// Sends requests; `finish` states the last.
  public let requests: RequestWriter<Request>
  /// Reads responses.
  public let responses: ResponseStream<Response>
}

/// Ends the call when nobody can read it any more.
final class ResponseReader: Sendable {
  let call: ClientCall
  /// The channel stays open while the stream is held.
  private let lifetime: ChannelLifetime

  init(_ call: ClientCall, _ lifetime: ChannelLifetime) {
    self.call = call
    self.lifetime = lifetime
  }

  deinit {
    call.cancel()
  }
}
