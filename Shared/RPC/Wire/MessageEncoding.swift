import Synchronization

/// How the bytes of messages may be compressed on the wire (gRPC's compression.md).
public enum MessageEncoding: String, Sendable, CaseIterable {
  /// Messages go as they are.
  case identity
  /// RFC 1952.
  case gzip

  /// The value of `grpc-accept-encoding`: every encoding that is taken here.
  static let accepted = allCases.map(\.rawValue).joined(separator: ",")

  /// Whether a peer that sent this `grpc-accept-encoding` takes the encoding.
  ///
  /// A peer that sent none takes messages as they are and nothing else.
  func isAccepted(by header: String?) -> Bool {
    guard self != .identity else { return true }
    guard let header else { return false }
    return header.utf8.split(separator: UInt8(ascii: ",")).contains { part in
      part.trimmed().elementsEqual(rawValue.utf8)
    }
  }
}

/// What a peer's `grpc-encoding` says of the messages that are flagged as compressed.
enum MessageDecoding: Equatable, Sendable {
  /// There was none, or `identity`: no message may be compressed.
  case none
  case gzip
  /// A name that is not known here.
  case unknown(String)

  /// The longest name kept.
  private static let nameBytesMax = 50

  init(header: String?) {
    switch header {
    case nil, MessageEncoding.identity.rawValue?: self = .none
    case MessageEncoding.gzip.rawValue?: self = .gzip
    case let name?: self = .unknown(name.cut(to: Self.nameBytesMax))
    }
  }
}

/// A message as it came: still compressed when it was sent so.
///
/// It is inflated when it is read, not when it arrives: what waits takes no more memory than the
/// window it came through.
struct ReceivedMessage: Sendable {
  let bytes: ArraySlice<UInt8>
  let isCompressed: Bool

  /// The same in memory of its own.
  var copied: ReceivedMessage {
    ReceivedMessage(bytes: Array(bytes)[...], isCompressed: isCompressed)
  }

  /// The message's bytes.
  ///
  /// Throws RESOURCE_EXHAUSTED for more than `maxBytes` and INTERNAL for what is not gzip.
  func plain(maxBytes: Int) throws(RPCError) -> ArraySlice<UInt8> {
    guard isCompressed else { return bytes }
    return try Gzip.decompress(bytes, maxBytes: maxBytes)[...]
  }
}

/// What a channel's servers have said that they take; on any thread.
///
/// A server tells it where a client compresses and where it refuses to read that.
final class ServerEncodings: Sendable {
  private let refusesGzip = Atomic(false)

  /// A server sent this `grpc-accept-encoding`.
  func serverAccepts(_ header: String) {
    refusesGzip.store(!MessageEncoding.gzip.isAccepted(by: header), ordering: .relaxed)
  }

  /// The encoding, or `identity` where a server would refuse it.
  func allowed(_ encoding: MessageEncoding) -> MessageEncoding {
    encoding == .gzip && refusesGzip.load(ordering: .relaxed) ? .identity : encoding
  }
}
