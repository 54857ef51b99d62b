package import RPC

extension RequestContext {
  /// The context that a caller's metadata describes.
  package init(metadata: Metadata) {
    self.init(
      requestID: metadata.first(Self.requestIDName),
      traceparent: metadata.first(Self.traceparentName),
      tracestate: metadata.first(Self.tracestateName)
    )
  }

  /// Adds the context to the metadata of an outgoing call.
  package func add(to metadata: inout Metadata) {
    metadata.add(requestID, for: Self.requestIDName)
    if let traceparent { metadata.add(traceparent, for: Self.traceparentName) }
    if let tracestate { metadata.add(tracestate, for: Self.tracestateName) }
  }
}

extension CallOptions {
  /// Options of a call on behalf of the current request: they carry its id and trace. (The deadline
  /// of the task goes along by itself.)
  package static func inheriting(
    timeout: Duration? = nil,
    readyTimeout: Duration? = nil
  ) -> CallOptions {
    var options = CallOptions(timeout: timeout, readyTimeout: readyTimeout)
    RequestContext.current?.add(to: &options.metadata)
    return options
  }
}
