/// What a channel connects to, as gRPC names it (naming.md).
///
/// `host:port` and `dns:///host:port` are looked up, and again when connections fail; without a port
/// the second means 443. `ipv4:a:p,b:p`, `ipv6:[a]:p,[b]:p` and `static:a:p,b:p` list endpoints, one
/// that is named several times with that weight. `unix:path` is a socket in the file system.
public struct ChannelTarget: Sendable, Hashable, CustomStringConvertible {
  enum Kind: Sendable, Hashable {
    /// These, as they are; names among them are looked up by each attempt to connect.
    case endpoints([Endpoint])
    /// The addresses of a name.
    case name(Endpoint)
  }

  /// The most bytes of a target's text.
  private static let textBytesMax = 64 * 1024
  private static let defaultPort = 443

  let kind: Kind
  /// The `:authority` of the calls, unless the channel's configuration says otherwise.
  let authority: String
  /// The name to check certificates against, unless an endpoint has its own.
  let serverName: String
  /// The text that was read.
  public let description: String

  /// Reads a target.
  ///
  /// Throws INVALID_ARGUMENT.
  public init(parsing text: String) throws(RPCError) {
    guard text.utf8.count <= Self.textBytesMax else {
      throw RPCError(.invalidArgument, "target: \(text.utf8.count) bytes are too many")
    }
    do throws(RPCError) {
      self = try Self.parse(text)
    } catch {
      throw RPCError(.invalidArgument, "target '\(text.cut(to: 100))' \(error.message)")
    }
  }

  /// The server at a host, whose name each attempt to connect looks up.
  init(host: String, port: Int) {
    let endpoint = Endpoint(host: host, port: port)
    self.init(.endpoints([endpoint]), host, "\(endpoint)")
  }

  private init(
    _ kind: Kind,
    _ serverName: String,
    _ authority: String,
    _ description: String? = nil
  ) {
    self.kind = kind
    self.serverName = serverName
    self.authority = authority
    self.description = description ?? authority
  }

  private static func parse(_ text: String) throws(RPCError) -> ChannelTarget {
    guard let (scheme, rest) = scheme(of: text) else {
      return try named(try Endpoint(parsing: text), text)
    }
    switch scheme {
    case "dns":
      let path = try path(rest)
      let endpoint =
        if let endpoint = try? Endpoint(parsing: path) {
          endpoint
        } else {
          try Endpoint(parsing: "\(path):\(defaultPort)")
        }
      return try named(endpoint, text)
    case "unix":
      // Here the path's own slash counts: `unix:///absolute`.
      let path = rest.hasPrefix("///") ? String(rest.dropFirst(2)) : rest
      guard !path.isEmpty, !path.hasPrefix("//"), !path.utf8.contains(0) else {
        throw RPCError(.invalidArgument, "has no path")
      }
      let endpoint = Endpoint(unixPath: path)
      return ChannelTarget(.endpoints([endpoint]), "localhost", "localhost", text)
    default:
      var endpoints: [Endpoint] = []
      for part in rest.split(separator: ",", omittingEmptySubsequences: false) {
        let endpoint = try Endpoint(parsing: String(part))
        let isAddress = EndpointLookup.isAddress(endpoint.host)
        let isSix = endpoint.host.contains(":")
        guard scheme == "static" || isAddress && isSix == (scheme == "ipv6") else {
          throw RPCError(
            .invalidArgument,
            "names '\(endpoint.host)', which is no \(scheme) address"
          )
        }
        endpoints.append(endpoint)
      }
      guard let first = endpoints.first else { throw RPCError(.invalidArgument, "is empty") }
      return ChannelTarget(.endpoints(endpoints), first.host, "\(first)", text)
    }
  }

  /// The name to check an endpoint's certificate against: its own where the target lists it, the
  /// target's where it was looked up.
  func serverName(of endpoint: Endpoint) -> String {
    guard case .endpoints = kind, endpoint.unixPath == nil else { return serverName }
    return endpoint.host
  }

  private static func named(_ endpoint: Endpoint, _ text: String) throws(RPCError) -> ChannelTarget
  {
    let isAddress = EndpointLookup.isAddress(endpoint.host)
    let kind: Kind = isAddress ? .endpoints([endpoint]) : .name(endpoint)
    return ChannelTarget(kind, endpoint.host, "\(endpoint)", text)
  }

  private static func scheme(of text: String) -> (scheme: String, rest: String)? {
    for scheme in ["dns", "ipv4", "ipv6", "static", "unix"] where text.hasPrefix(scheme + ":") {
      let rest = text.dropFirst(scheme.count + 1)
      // A host may be called so, too.
      if UInt16(rest) != nil { return nil }
      return (scheme, String(rest))
    }
    return nil
  }

  /// The path after an authority, which must be empty: `///path`; or the text as it is.
  private static func path(_ rest: String) throws(RPCError) -> String {
    guard rest.hasPrefix("//") else { return rest }
    let inner = rest.dropFirst(2)
    guard inner.hasPrefix("/") else {
      throw RPCError(.invalidArgument, "names an authority, which is not supported")
    }
    return String(inner.dropFirst())
  }
}

extension Endpoint {
  private static let unixPrefix = "unix:"

  /// A socket in the file system; it has no port.
  init(unixPath path: String) {
    self.init(host: Self.unixPrefix + path, port: 0)
  }

  /// The path of a socket in the file system; nil for any other endpoint.
  var unixPath: String? {
    host.hasPrefix(Self.unixPrefix) ? String(host.dropFirst(Self.unixPrefix.count)) : nil
  }
}
