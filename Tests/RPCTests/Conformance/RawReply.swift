import Testing

@testable import RPC

/// One response as it stood on the wire, out of what a raw peer saw.
struct RawReply {
  /// One length-prefixed message, as it was sent.
  struct Message: Equatable {
    let flag: UInt8
    let bytes: [UInt8]

    /// The message, decompressed if its flag says so.
    func plain() throws -> [UInt8] {
      flag == 0 ? bytes : try Gzip.decompress(bytes[...], maxBytes: 1 << 26)
    }
  }

  /// The head's fields; of a Trailers-Only response the only ones.
  private(set) var head: [HeaderField] = []
  private(set) var messages: [Message] = []
  private(set) var trailers: [HeaderField]?
  /// Whether the head was all there was.
  private(set) var isTrailersOnly = false
  private(set) var closed: HTTP2ErrorCode?

  init(_ events: [HTTP2Event], stream wanted: Int32 = 1) {
    var body: [UInt8] = []
    for event in events {
      switch event {
      case .head(wanted, let fields, let end, _):
        head = fields
        isTrailersOnly = end
      case .data(wanted, let bytes): body += bytes
      case .trailers(wanted, let fields, _): trailers = fields
      case .closed(wanted, let code): closed = code
      default: break
      }
    }
    messages = Self.messages(in: body)
  }

  /// The messages that lie whole within bytes of DATA.
  static func messages(in body: [UInt8]) -> [Message] {
    var rest = body[...]
    var messages: [Message] = []
    while rest.count >= 5 {
      let length = rest.dropFirst().prefix(4).reduce(0) { $0 << 8 | Int($1) }
      guard rest.count >= 5 + length, let flag = rest.first else { break }
      messages.append(Message(flag: flag, bytes: Array(rest.dropFirst(5).prefix(length))))
      rest = rest.dropFirst(5 + length)
    }
    return messages
  }

  /// The head's field of that name.
  func head(_ name: String) -> String? { head.first(name) }

  /// The field of that name in what ends the response.
  func end(_ name: String) -> String? { (trailers ?? head).first(name) }

  /// The status by its number.
  var status: String? { end("grpc-status") }

  var httpStatus: String? { head(":status") }
}

/// The head of a call; a nil value takes a field out, others replace it or come at the end.
func callHead(
  _ path: String = "/test.Echo/Unary",
  _ changes: [(String, String?)] = []
) -> [HeaderField] {
  var fields = [
    HeaderField(":method", "POST"), HeaderField(":scheme", "http"), HeaderField(":path", path),
    HeaderField(":authority", "a"), HeaderField("te", "trailers"),
    HeaderField("content-type", "application/grpc"),
  ]
  for (name, value) in changes {
    if let index = fields.firstIndex(where: { $0.name == name }) {
      fields.remove(at: index)
      if let value { fields.insert(HeaderField(name, value), at: index) }
    } else if let value {
      fields.append(HeaderField(name, value))
    }
  }
  return fields
}

/// A length-prefixed message.
func wireMessage(_ bytes: [UInt8], flag: UInt8 = 0) -> [UInt8] {
  let count = UInt32(bytes.count)
  return [
    flag, UInt8(count >> 24), UInt8(count >> 16 & 0xff), UInt8(count >> 8 & 0xff),
    UInt8(count & 0xff),
  ] + bytes
}

func wireMessage(_ text: String) -> [UInt8] { wireMessage(Array(text.utf8)) }

/// The bytes by gzip, as a flagged message.
func gzipMessage(_ bytes: [UInt8]) throws -> [UInt8] {
  wireMessage(try #require(Gzip.compress(bytes[...], prefix: 0)), flag: 1)
}
