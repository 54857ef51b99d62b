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

  let response = ResponseMetadata()

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
  }

  /// Sets the metadata that goes out before the first message; without effect after it.
  public func setInitialMetadata(_ metadata: Metadata) {
    response.values.withLock { $0.initial = metadata }
  }

  /// Sets the metadata that goes out with the status.
  public func setTrailingMetadata(_ metadata: Metadata) {
    response.values.withLock { $0.trailing = metadata }
  }

  /// Compresses the responses, if the client takes the encoding; without effect after the first.
  ///
  /// What gzip would not make shorter, and messages written with `compressed: false`, go as they
  /// are. Beware of compressing secrets together with what a stranger sent: their length tells.
  public func compressResponses(_ encoding: MessageEncoding = .gzip) {
    response.compress(encoding)
  }

  /// The metadata set for the head of the response.
  public var initialMetadata: Metadata { response.values.withLock { $0.initial } }

  /// The metadata set for the end of the response.
  public var trailingMetadata: Metadata { response.values.withLock { $0.trailing } }
}

/// What a handler has set for its response.
final class ResponseMetadata: Sendable {
  private struct Encoding {
    var value = MessageEncoding.identity
    /// Whether it was used: the head and every message must agree.
    var isFixed = false
  }

  let values = Mutex((initial: Metadata(), trailing: Metadata()))
  private let encoding = Mutex(Encoding())
  private let compressedRequest = Atomic(false)

  /// Whether the request of a method that takes exactly one came compressed.
  var requestWasCompressed: Bool {
    get { compressedRequest.load(ordering: .relaxed) }
    set { compressedRequest.store(newValue, ordering: .relaxed) }
  }

  func compress(_ value: MessageEncoding) {
    encoding.withLock { if !$0.isFixed { $0.value = value } }
  }

  /// The encoding of the responses, which from now on stays; `header` is what the client accepts.
  func encoding(acceptedBy header: String?) -> MessageEncoding {
    encoding.withLock { encoding in
      if !encoding.isFixed {
        encoding.isFixed = true
        if !encoding.value.isAccepted(by: header) { encoding.value = .identity }
      }
      return encoding.value
    }
  }
}
