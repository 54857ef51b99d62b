package import RPC

extension RequestContext {
  /// Adds the context to the metadata of an outgoing call.
  package func add(to metadata: inout Metadata) {
    metadata.add(requestID, for: Self.requestIDName)
    trace?.add(to: &metadata)
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
