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
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
      port > 0
    else { throw Self.malformed }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      throw RPCError(.invalidArgument, "is not host:port: an IPv6 address needs brackets")
    }
    guard !host.isEmpty else { throw Self.malformed }
    self.init(host: String(host), port: Int(port))
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
