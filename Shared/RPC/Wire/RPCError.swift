/// How a call failed: what goes over the wire as status, message and trailing metadata.
public struct RPCError: Error, Sendable {
  /// The status code; never `.ok` on the wire.
  public var code: StatusCode
  /// One line for a person; names the operation and the values, never prompts or secrets.
  public var message: String
  /// A serialized `google.rpc.Status`, which travels as `grpc-status-details-bin`; empty: none.
  ///
  /// Received ones stand in `metadata` too, as in other implementations.
  public var details: [UInt8]
  /// Trailing metadata that travels with the status.
  public var metadata: Metadata
  /// What caused it on this side; never sent.
  public var cause: (any Error)?
  /// Whether the connection was lost while the call was open: the server may have run it in whole, in part, or not.
  public var isConnectionLoss = false

  /// Creates an error with the given code and message.
  public init(
    _ code: StatusCode,
    _ message: String,
    details: [UInt8] = [],
    metadata: Metadata = Metadata(),
    cause: (any Error)? = nil
  ) {
    self.code = code
    self.message = message
    self.details = details
    self.metadata = metadata
    self.cause = cause
  }
}

extension RPCError: CustomStringConvertible {
  /// The code's name, the message and the cause.
  public var description: String {
    guard let cause else { return "\(code.name): \(message)" }
    return "\(code.name): \(message) (cause: \(cause))"
  }
}
