/// Lets a server serve only the calls that a closure allows, by their `authorization` metadata or
/// by the certificate of their client.
///
/// The interceptor that is added to a router last is the outermost: a log that is to tell of refused
/// calls is added after this.
public struct CallAuthorization: ServerInterceptor {
  /// What becomes of a call.
  public enum Decision: Sendable, Hashable {
    /// It is served.
    case allow
    /// It ends with UNAUTHENTICATED: the client did not say who it is, or not believably.
    case unauthenticated
    /// It ends with PERMISSION_DENIED: the client may not call this.
    case deny
  }

  /// Decides about a call.
  ///
  /// What it throws ends the call.
  public typealias Check = @Sendable (ServerContext) async throws -> Decision

  private let openServices: Set<String>
  private let check: Check

  /// Creates the interceptor; calls of `openServices`, such as `grpc.health.v1.Health`, are not
  /// checked.
  public init(openServices: Set<String> = [], check: @escaping Check) {
    self.openServices = openServices
    self.check = check
  }

  /// Serves the call if it is allowed.
  public func intercept(
    _ context: ServerContext,
    _ handler: @Sendable () async throws -> Void
  ) async throws {
    let method = context.method
    if !openServices.contains(method.service) {
      switch try await check(context) {
      case .allow: break
      case .unauthenticated:
        throw RPCError(.unauthenticated, "\(method.path): no valid credentials")
      case .deny:
        throw RPCError(.permissionDenied, "\(method.path): not allowed for this client")
      }
    }
    try await handler()
  }

  /// Whether a token is the expected one, in a time that does not tell how much of it is right.
  public static func isSame(_ token: String, _ expected: String) -> Bool {
    let (token, expected) = (Array(token.utf8), Array(expected.utf8))
    var difference = token.count ^ expected.count
    for (index, byte) in token.enumerated() {
      difference |= Int(byte ^ (expected.isEmpty ? 0 : expected[index % expected.count]))
    }
    return difference == 0
  }
}

extension ServerContext {
  /// The token of `authorization: Bearer <token>` (RFC 6750, 2.1); nil without exactly one.
  public var bearerToken: String? {
    let values = metadata.all("authorization")
    guard let value = values.first, values.count == 1 else { return nil }
    let parts = value.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
    let token = String(parts[1].drop { $0 == " " })
    return token.isEmpty ? nil : token
  }
}

/// Gives every call of a client a bearer token, unless it has an `authorization` of its own.
///
/// Whoever reads the token may use it: only for channels with TLS, or within one machine.
public struct BearerCredentials: ClientInterceptor {
  private let token: @Sendable (MethodDescriptor) throws(RPCError) -> String?

  /// Creates credentials.
  ///
  /// The closure is asked by each call, on its task, and must not block. With nil the call goes
  /// without; what it throws refuses the call.
  public init(_ token: @escaping @Sendable (MethodDescriptor) throws(RPCError) -> String?) {
    self.token = token
  }

  /// Adds the token.
  public func begin(
    _ method: MethodDescriptor,
    _ options: inout CallOptions
  ) throws(RPCError) -> End? {
    guard options.metadata.first("authorization") == nil, let token = try token(method) else {
      return nil
    }
    options.metadata.add("Bearer \(token)", for: "authorization")
    return nil
  }
}
