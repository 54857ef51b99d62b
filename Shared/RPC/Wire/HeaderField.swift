/// One HTTP/2 header field.
///
/// Values that are not UTF-8 have been repaired, never refused.
struct HeaderField: Equatable, Sendable {
  let name: String
  let value: String
  /// Which of the protocol's own names it is: found once, compared often.
  let known: KnownHeader

  init(_ name: String, _ value: String) {
    self.name = name
    self.value = value
    known = KnownHeader(name)
  }

  /// What the field counts towards a header list's size (RFC 9113, 6.5.2).
  var listSize: Int { name.utf8.count + value.utf8.count + 32 }
}

/// The names that a request or a response is read by.
enum KnownHeader: UInt8, Sendable {
  case method, scheme, path, authority, status
  case te, contentType, grpcTimeout, grpcEncoding, grpcAcceptEncoding, grpcStatus, grpcMessage
  case other

  /// The length tells most names apart before any text is compared.
  init(_ name: String) {
    switch name.utf8.count {
    case 2: self = name == "te" ? .te : .other
    case 5: self = name == ":path" ? .path : .other
    case 7:
      self =
        name == ":method"
        ? .method : name == ":scheme" ? .scheme : name == ":status" ? .status : .other
    case 10: self = name == ":authority" ? .authority : .other
    case 11: self = name == "grpc-status" ? .grpcStatus : .other
    case 12:
      self =
        name == "content-type"
        ? .contentType
        : name == "grpc-timeout" ? .grpcTimeout : name == "grpc-message" ? .grpcMessage : .other
    case 13: self = name == "grpc-encoding" ? .grpcEncoding : .other
    case 20: self = name == "grpc-accept-encoding" ? .grpcAcceptEncoding : .other
    default: self = .other
    }
  }
}

extension Array where Element == HeaderField {
  /// The value of the first field of that name.
  func first(_ name: String) -> String? {
    for field in self where field.name == name { return field.value }
    return nil
  }

  /// The value of the first field of that name.
  func first(_ known: KnownHeader) -> String? {
    for field in self where field.known == known { return field.value }
    return nil
  }

  /// The header list's size (RFC 9113, 6.5.2).
  var listSize: Int { reduce(0) { $0 + $1.listSize } }
}

extension StringProtocol {
  /// The first bytes of what a peer sent, to quote it; a character may consist of any number.
  func cut(to bytes: Int) -> String {
    utf8.count <= bytes ? String(self) : String(decoding: utf8.prefix(bytes), as: UTF8.self)
  }
}
