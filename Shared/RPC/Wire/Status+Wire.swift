/// How statuses cross HTTP/2.
enum StatusWire {
  /// The longest `grpc-message` sent, in bytes of its UTF-8, so that trailers stay small.
  static let maxMessageBytes = 4096

  /// The field that carries a serialized `google.rpc.Status`.
  static let detailsName = "grpc-status-details-bin"

  /// Appends `grpc-status`, `grpc-message`, the error's details and its metadata.
  ///
  /// Metadata that cannot be sent, or would make the list larger than `maxListBytes`, turns the
  /// status into an INTERNAL or RESOURCE_EXHAUSTED one: a status always arrives.
  static func append(
    _ error: RPCError?,
    trailing: Metadata,
    to fields: inout [HeaderField],
    maxListBytes: Int
  ) {
    let start = fields.count
    do {
      try appendUnchecked(error, trailing: trailing, to: &fields)
      guard fields.listSize > maxListBytes else { return }
      fields.removeSubrange(start...)
      appendStatus(
        RPCError(.resourceExhausted, "trailing metadata is larger than \(maxListBytes) bytes"),
        to: &fields
      )
    } catch {
      fields.removeSubrange(start...)
      appendStatus(error, to: &fields)
    }
  }

  private static func appendUnchecked(
    _ error: RPCError?,
    trailing: Metadata,
    to fields: inout [HeaderField]
  ) throws(RPCError) {
    guard let error else {
      fields.append(HeaderField("grpc-status", "0"))
      try trailing.append(to: &fields)
      return
    }
    appendStatus(error, to: &fields)
    guard !error.details.isEmpty else {
      try trailing.append(to: &fields)
      return try error.metadata.append(to: &fields)
    }
    fields.append(HeaderField(detailsName, Base64.encode(error.details)))
    // An error that was received and goes on has its details in its metadata too.
    var metadata = trailing
    metadata.add(error.metadata)
    metadata.remove(detailsName)
    try metadata.append(to: &fields)
  }

  private static func appendStatus(_ error: RPCError, to fields: inout [HeaderField]) {
    let code = error.code == .ok ? StatusCode.unknown : error.code
    fields.append(HeaderField("grpc-status", String(code.rawValue)))
    guard !error.message.isEmpty else { return }
    var message = error.message
    if message.utf8.count > maxMessageBytes {
      message = String(decoding: message.utf8.prefix(maxMessageBytes), as: UTF8.self)
    }
    fields.append(HeaderField("grpc-message", PercentEncoding.encode(message)))
  }

  /// The outcome that trailers (or a Trailers-Only head) state; nil when they hold no status.
  static func outcome(of trailers: [HeaderField]) -> Result<Metadata, RPCError>? {
    guard let status = trailers.first("grpc-status") else { return nil }
    let metadata = Metadata(fields: trailers)
    if status == "0" { return .success(metadata) }
    let message = PercentEncoding.decode(trailers.first("grpc-message") ?? "")
    let details = metadata.firstBytes(detailsName) ?? []
    guard let number = Int(status), let code = StatusCode(rawValue: number), code != .ok else {
      return .failure(
        RPCError(
          .unknown,
          "status '\(status.cut(to: 20))': \(message)",
          details: details,
          metadata: metadata
        )
      )
    }
    return .failure(RPCError(code, message, details: details, metadata: metadata))
  }

  /// Whether a content type is that of gRPC's messages; nil when it is not gRPC's at all.
  static func isKnown(contentType type: String) -> Bool? {
    let prefix = "application/grpc"
    guard type.hasPrefix(prefix) else { return nil }
    let rest = type.dropFirst(prefix.count)
    if rest.isEmpty || rest == "+proto" || rest.hasPrefix(";") || rest.hasPrefix("+proto;") {
      return true
    }
    return rest.hasPrefix("+") ? false : nil
  }

  /// The status code for a response that states none (gRPC's http-grpc-status-mapping.md).
  static func code(httpStatus: Int) -> StatusCode {
    switch httpStatus {
    case 400, 431: .internal
    case 401: .unauthenticated
    case 403: .permissionDenied
    case 404: .unimplemented
    case 429, 502, 503, 504: .unavailable
    default: .unknown
    }
  }

  /// The error for a stream that the peer reset (gRPC's PROTOCOL-HTTP2.md, "Errors").
  static func error(reset code: HTTP2ErrorCode) -> RPCError {
    switch code {
    case .refusedStream: RPCError(.unavailable, "the server refused the stream")
    case .cancel: RPCError(.cancelled, "the peer cancelled the stream")
    case .enhanceYourCalm: RPCError(.resourceExhausted, "the peer asks for fewer requests")
    case .inadequateSecurity: RPCError(.permissionDenied, "the peer asks for better security")
    default: RPCError(.internal, "the peer reset the stream: \(code)")
    }
  }
}
