/// A message that can cross the wire; generated structs conform to it.
public protocol RPCMessage: Sendable {
  /// Decodes one message; throws INVALID_ARGUMENT for bytes that are not one.
  ///
  /// The bytes are valid during the call alone and may be empty, with a nil base address.
  init(serialized bytes: UnsafeRawBufferPointer) throws(RPCError)

  /// Appends the encoding to `output` and changes nothing that is there already.
  func serialize(into output: inout [UInt8]) throws(RPCError)
}

/// How many messages each side of a call sends.
public enum MethodKind: Sendable {
  /// One request, one response.
  case unary
  /// Any number of requests, one response.
  case clientStreaming
  /// One request, any number of responses.
  case serverStreaming
  /// Any number of both, in any order.
  case bidirectional

  /// Whether the client sends exactly one message.
  var sendsOneRequest: Bool { self == .unary || self == .serverStreaming }
  /// Whether the server sends exactly one message.
  var sendsOneResponse: Bool { self == .unary || self == .clientStreaming }
}

/// The name and kind of a method.
public struct MethodDescriptor: Sendable, Hashable {
  /// The service with its package, such as `grpc.health.v1.Health`.
  public let service: String
  /// The method, such as `Check`.
  public let method: String
  /// How many messages each side sends.
  public let kind: MethodKind
  /// The path on the wire: `/service/method`.
  public let path: String

  /// Creates a descriptor.
  public init(service: String, method: String, kind: MethodKind) {
    self.service = service
    self.method = method
    self.kind = kind
    self.path = "/\(service)/\(method)"
  }
}
