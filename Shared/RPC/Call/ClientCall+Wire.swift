/// What a call says to servers, and what goes wrong with what they say.
extension ClientCall {
  /// The head of a request on a new stream.
  func requestFields(previousAttempts: Int) -> [HeaderField] {
    var fields = [
      HeaderField(":method", "POST"),
      HeaderField(":scheme", core.configuration.tlsContext == nil ? "http" : "https"),
      HeaderField(":path", method.path),
      HeaderField(":authority", core.authority),
    ]
    if let deadline {
      let left = max(1, deadline.remaining(on: eventLoop).clampedNanoseconds)
      fields.append(
        HeaderField("grpc-timeout", TimeoutHeader.encode(nanoseconds: UInt64(left)))
      )
    }
    fields.append(HeaderField("te", "trailers"))
    fields.append(HeaderField("content-type", "application/grpc"))
    if encoding != .identity { fields.append(HeaderField("grpc-encoding", encoding.rawValue)) }
    fields.append(HeaderField("grpc-accept-encoding", MessageEncoding.accepted))
    fields.append(HeaderField("user-agent", "grpc-swift-llmos/1.0"))
    if previousAttempts > 0 {
      fields.append(HeaderField("grpc-previous-rpc-attempts", "\(previousAttempts)"))
    }
    fields.append(contentsOf: userFields)
    return fields
  }

  var deadlineExceeded: RPCError {
    RPCError(.deadlineExceeded, "\(method.path): the deadline passed before the call ended")
  }
  var oversizedMetadata: RPCError {
    RPCError(
      .resourceExhausted,
      "the server's metadata is larger than \(core.configuration.maxMetadataBytes) bytes"
    )
  }
  var noStatus: RPCError {
    RPCError(.unknown, "\(method.path): the server ended the stream without a status")
  }
  /// gRPC's statuscodes.md: a cardinality violation.
  var notOneResponse: RPCError {
    RPCError(.unimplemented, "\(method.path): the server sent other than one response")
  }
}
