import Synchronization

/// What a handler knows of the call it serves.
///
/// The handler's task is cancelled when the call is.
public struct ServerContext: Sendable {
  /// The method that is called.
  public let method: MethodDescriptor
  /// The client's metadata.
  public let metadata: Metadata
  /// When the client gives up; also in `Deadline.current`.
  public let deadline: Deadline?
  /// The client's address and port.
  public let remoteAddress: String
  /// Who the client is by its certificate; nil without one.
  public let peer: PeerIdentity?

  let response: ResponseMetadata

  /// Creates a context, as a server does for each call; for tests of handlers.
  public init(
    method: MethodDescriptor,
    metadata: Metadata = Metadata(),
    deadline: Deadline? = nil,
    remoteAddress: String = "in-process",
    peer: PeerIdentity? = nil
  ) {
    self.method = method
    self.metadata = metadata
    self.deadline = deadline
    self.remoteAddress = remoteAddress
    self.peer = peer
    response = ResponseMetadata()
  }

  /// The context of a call, which itself holds what the handler sets for its response.
  init(_ call: ServerCall) {
    method = call.method
    metadata = call.metadata
    deadline = call.deadline
    remoteAddress = call.remoteAddress
    peer = call.peer
    response = call
  }

  /// Sets the metadata that goes out before the first message; without effect after it.
  ///
  /// A call that fails before its first message has no initial metadata: what an error is to carry belongs into the
  /// trailing metadata.
  public func setInitialMetadata(_ metadata: Metadata) {
    response.initial = metadata
  }

  /// Sets the metadata that goes out with the status.
  public func setTrailingMetadata(_ metadata: Metadata) {
    response.trailing = metadata
  }

  /// Compresses the responses, if the client takes the encoding; without effect after the first.
  ///
  /// What gzip would not make shorter, and messages written with `compressed: false`, go as they
  /// are. Beware of compressing secrets together with what a stranger sent: their length tells.
  public func compressResponses(_ encoding: MessageEncoding = .gzip) {
    response.compress(encoding)
  }

  /// The metadata set for the head of the response.
  public var initialMetadata: Metadata { response.initial }

  /// The metadata set for the end of the response.
  public var trailingMetadata: Metadata { response.trailing }
}

/// What a handler has set for its response; on any thread.
///
/// `@unchecked Sendable`, as it has a subclass, which does more: the state here is behind its lock.
class ResponseMetadata: @unchecked Sendable {
  private struct State {
    var initial = Metadata()
    var trailing = Metadata()
    var encoding = MessageEncoding.identity
    /// Whether the encoding was used: the head and every message must agree.
    var isEncodingFixed = false
  }

  private let state = Mutex(State())
  private let compressedRequest = Atomic(false)

  /// Whether the request of a method that takes exactly one came compressed.
  final var requestWasCompressed: Bool {
    get { compressedRequest.load(ordering: .relaxed) }
    set { compressedRequest.store(newValue, ordering: .relaxed) }
  }

  final var initial: Metadata {
    get { state.withLock { $0.initial } }
    set { state.withLock { $0.initial = newValue } }
  }

  final var trailing: Metadata {
    get { state.withLock { $0.trailing } }
    set { state.withLock { $0.trailing = newValue } }
  }

  final func compress(_ value: MessageEncoding) {
    state.withLock { if !$0.isEncodingFixed { $0.encoding = value } }
  }

  /// The encoding of the responses, which from now on stays; `header` is what the client accepts.
  final func encoding(acceptedBy header: String?) -> MessageEncoding {
    state.withLock { state in
      if !state.isEncodingFixed {
        state.isEncodingFixed = true
        if !state.encoding.isAccepted(by: header) { state.encoding = .identity }
      }
      return state.encoding
    }
  }
}
