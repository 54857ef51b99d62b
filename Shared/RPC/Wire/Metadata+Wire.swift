extension Metadata {
  /// The metadata within a received header list: less pseudo-headers and what gRPC reserves.
  ///
  /// Values of `-bin` names that are not base64 are left out: bad metadata does not end a call.
  init(fields: [HeaderField]) {
    self.init()
    for field in fields where field.known == .other && !Self.isReserved(field.name) {
      guard Self.isBinary(field.name) else {
        addReceived(field.value, for: field.name)
        continue
      }
      for part in field.value.utf8.split(
        separator: UInt8(ascii: ","),
        omittingEmptySubsequences: false
      ) {
        if let bytes = Base64.decode(part.trimmed()) { add(bytes, for: field.name) }
      }
    }
  }

  /// Appends the entries as header fields; throws for one that cannot be sent.
  func append(to fields: inout [HeaderField]) throws(RPCError) {
    for entry in entries {
      guard !Self.isReserved(entry.name), Self.isName(entry.name) else {
        throw RPCError(
          .internal,
          "metadata: '\(entry.name.prefix(100))' is reserved or not a name to send"
        )
      }
      switch entry.value {
      case .bytes(let bytes): fields.append(HeaderField(entry.name, Base64.encode(bytes)))
      case .text(let text):
        guard text.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) else {
          throw RPCError(
            .internal,
            "metadata: the value of '\(entry.name)' is not printable ASCII"
          )
        }
        // Spaces at the ends are not part of a field's value (RFC 9113, 8.2.1).
        fields.append(
          HeaderField(entry.name, String(decoding: text.utf8[...].trimmed(), as: UTF8.self))
        )
      }
    }
  }

  /// Whether the name belongs to the protocol rather than to the application.
  private static func isReserved(_ name: String) -> Bool {
    // By the first letter: the names of applications seldom share it.
    switch name.utf8.first {
    case UInt8(ascii: ":"): true
    case UInt8(ascii: "g"):
      // What gRPC shows to applications: details of a status, and retries (gRFC A6).
      name.utf8.starts(with: "grpc-".utf8) && name != "grpc-status-details-bin"
        && name != "grpc-retry-pushback-ms" && name != "grpc-previous-rpc-attempts"
    case UInt8(ascii: "t"): name == "te" || name == "transfer-encoding"
    case UInt8(ascii: "c"):
      name == "content-type" || name == "connection" || name == "content-length"
    case UInt8(ascii: "u"): name == "upgrade"
    case UInt8(ascii: "k"): name == "keep-alive"
    case UInt8(ascii: "p"): name == "proxy-connection"
    case UInt8(ascii: "h"): name == "host"
    default: false
    }
  }

  /// Whether gRPC allows the name: digits, lower-case letters, `_`, `-`, `.`.
  private static func isName(_ name: String) -> Bool {
    !name.isEmpty
      && name.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
          UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
          true
        default: false
        }
      }
  }
}

extension BidirectionalCollection where Element == UInt8 {
  /// The collection less spaces and tabs at both ends.
  func trimmed() -> SubSequence {
    var rest = self[...]
    while let byte = rest.first, byte == 0x20 || byte == 0x09 { rest = rest.dropFirst() }
    while let byte = rest.last, byte == 0x20 || byte == 0x09 { rest = rest.dropLast() }
    return rest
  }
}
