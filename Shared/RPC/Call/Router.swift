/// A set of methods under one name; generated service protocols refine it.
public protocol RPCService: Sendable {
  /// The full name, such as `grpc.health.v1.Health`.
  static var serviceName: String { get }

  /// Adds every method to the router.
  func register(in router: inout Router)
}

/// One method with the code that serves it.
struct MethodHandler: Sendable {
  let descriptor: MethodDescriptor
  let run: @Sendable (ServerCall) async throws -> Void
}

/// The methods that a server knows.
///
/// A path may be registered once.
///
/// Handlers run on the event loop of their connection: they may await anything, but a computation
/// that takes long belongs on other threads.
public struct Router: Sendable {
  private var handlers: [String: MethodHandler] = [:]
  private var services: Set<String> = []

  /// Creates a router that knows no method.
  public init() {}

  /// Adds a service's methods.
  public mutating func register(_ service: any RPCService) {
    service.register(in: &self)
  }

  /// Adds a method with one request and one response.
  public mutating func unary<I: RPCMessage, O: RPCMessage>(
    _ method: MethodDescriptor,
    _ handler: @escaping @Sendable (I, ServerContext) async throws -> O
  ) {
    add(method, .unary) { call in
      let request = try call.singleRequest(I.self)
      try await call.respond(handler(request, ServerContext(call)))
    }
  }

  /// Adds a method with one request and any number of responses.
  public mutating func serverStreaming<I: RPCMessage, O: RPCMessage>(
    _ method: MethodDescriptor,
    _ handler: @escaping @Sendable (I, ServerContext, ResponseWriter<O>) async throws -> Void
  ) {
    add(method, .serverStreaming) { call in
      let request = try call.singleRequest(I.self)
      try await handler(request, ServerContext(call), ResponseWriter(call))
    }
  }

  /// Adds a method with any number of requests and one response.
  public mutating func clientStreaming<I: RPCMessage, O: RPCMessage>(
    _ method: MethodDescriptor,
    _ handler: @escaping @Sendable (RequestStream<I>, ServerContext) async throws -> O
  ) {
    add(method, .clientStreaming) { call in
      try await call.respond(handler(RequestStream(call), ServerContext(call)))
    }
  }

  /// Adds a method with any number of requests and responses in any order.
  public mutating func bidirectional<I: RPCMessage, O: RPCMessage>(
    _ method: MethodDescriptor,
    _ handler:
      @escaping @Sendable (RequestStream<I>, ServerContext, ResponseWriter<O>)
      async throws -> Void
  ) {
    add(method, .bidirectional) { call in
      try await handler(RequestStream(call), ServerContext(call), ResponseWriter(call))
    }
  }

  /// Wraps every method that was added so far: `interceptor` runs in the handler's place and calls
  /// the handler through its second argument, once or not at all.
  ///
  /// What the interceptor throws ends the call as a handler's error does.
  public mutating func intercept(
    _ interceptor:
      @escaping @Sendable (ServerContext, _ handler: @Sendable () async throws -> Void)
      async throws -> Void
  ) {
    handlers = handlers.mapValues { handler in
      MethodHandler(descriptor: handler.descriptor) { call in
        try await interceptor(ServerContext(call)) { try await handler.run(call) }
      }
    }
  }

  /// The paths of every method, sorted.
  public var paths: [String] { handlers.keys.sorted() }

  /// The names of every service, sorted.
  public var serviceNames: [String] { services.sorted() }

  private mutating func add(
    _ method: MethodDescriptor,
    _ kind: MethodKind,
    _ run: @escaping @Sendable (ServerCall) async throws -> Void
  ) {
    precondition(method.kind == kind, "router: \(method.path) is \(method.kind), not \(kind)")
    precondition(handlers[method.path] == nil, "router: \(method.path) is registered twice")
    handlers[method.path] = MethodHandler(descriptor: method, run: run)
    services.insert(method.service)
  }

  /// The method of a path; nil when there is none.
  func method(at path: String) -> MethodDescriptor? { handlers[path]?.descriptor }

  /// The handler for a path; UNIMPLEMENTED when there is none.
  func handler(for path: String) throws(RPCError) -> MethodHandler {
    if let handler = handlers[path] { return handler }
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].isEmpty else {
      throw RPCError(.unimplemented, "'\(path.cut(to: 200))' is not the path of a method")
    }
    guard services.contains(String(parts[1])) else {
      throw RPCError(.unimplemented, "unknown service '\(parts[1].cut(to: 200))'")
    }
    throw RPCError(
      .unimplemented,
      "unknown method '\(parts[2].cut(to: 200))' of service '\(parts[1])'"
    )
  }
}
