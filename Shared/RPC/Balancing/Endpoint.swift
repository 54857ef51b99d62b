/// Where a server listens, written `host:port` or `[IPv6]:port`.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
  /// A name or an address.
  public let host: String
  /// A TCP port.
  public let port: Int

  /// Creates an endpoint.
  public init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// Reads an endpoint.
  ///
  /// Throws INVALID_ARGUMENT with a predicate, such as `is not host:port`.
  public init(parsing text: String) throws(RPCError) {
    guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")),
      let port = UInt16(text[text.utf8.index(after: colon)...]), port > 0
    else { throw Self.malformed }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard Self.isIPv6(host) else { throw Self.malformed }
    } else if host.utf8.contains(UInt8(ascii: ":")) {
      throw RPCError(.invalidArgument, "is not host:port: an IPv6 address needs brackets")
    }
    guard !host.isEmpty, host.utf8.allSatisfy(Self.isHostByte) else { throw Self.malformed }
    self.init(host: String(host), port: Int(port))
  }

  /// Whether a host may have the byte: it goes into header fields and lookups.
  private static func isHostByte(_ byte: UInt8) -> Bool {
    byte > 0x20 && byte != 0x7f && byte != UInt8(ascii: "[") && byte != UInt8(ascii: "]")
  }

  /// Whether the text looks like an IPv6 address, with or without a zone, rather than like anything
  /// else with a colon.
  private static func isIPv6(_ text: Substring) -> Bool {
    let address = text.utf8.prefix { $0 != UInt8(ascii: "%") }
    return address.contains(UInt8(ascii: ":"))
      && address.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
          UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: ":"), UInt8(ascii: "."):
          true
        default: false
        }
      }
  }

  private static let malformed = RPCError(
    .invalidArgument,
    "is not host:port (such as 127.0.0.1:7101)"
  )

  /// `host:port`, with brackets around an IPv6 address.
  public var description: String {
    if unixPath != nil { return host }
    return host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
  }
}

/// Where the endpoints of a set of replicas are told.
public enum EndpointSource: Sendable, Hashable, CustomStringConvertible {
  /// One endpoint; a name stands for all its addresses.
  case endpoint(Endpoint)
  /// A file with one `host:port` per line, which may change; `#` begins a comment.
  case file(String)

  private static let filePrefix = "file:"

  /// Reads `host:port` or `file:PATH`.
  ///
  /// Throws INVALID_ARGUMENT with a predicate.
  public init(parsing text: String) throws(RPCError) {
    guard text.hasPrefix(Self.filePrefix) else {
      self = .endpoint(try Endpoint(parsing: text))
      return
    }
    let path = String(text.dropFirst(Self.filePrefix.count))
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw RPCError(.invalidArgument, "has no path after '\(Self.filePrefix)'")
    }
    self = .file(path)
  }

  /// The source as ``init(parsing:)`` reads it.
  public var description: String {
    switch self {
    case .endpoint(let endpoint): "\(endpoint)"
    case .file(let path): Self.filePrefix + path
    }
  }
}
