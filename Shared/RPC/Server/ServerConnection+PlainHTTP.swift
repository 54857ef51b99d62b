import NIOCore

/// Requests that are not gRPC's.
extension ServerConnection {
  /// Begins to answer a request that is not gRPC's.
  func openPlain(
    _ stream: Int32,
    _ fields: [HeaderField],
    _ endStream: Bool,
    _ handler: @escaping PlainHTTPHandler
  ) {
    guard mayStartHandler, !hasUnreadLimitReached else {
      session.reset(stream, .refusedStream)
      return setNeedsFlush()
    }
    let exchange = PlainHTTPExchange(
      stream: stream,
      connection: self,
      handler: handler,
      fields: fields,
      isHalf: !endStream
    )
    plain[stream] = exchange
    lifetime?.callBegan()
    exchange.start(isComplete: endStream)
  }

  func plainEnded(_ stream: Int32) {
    plain[stream] = nil
    if calls.isEmpty, plain.isEmpty { lifetime?.becameIdle(at: eventLoop.now) }
  }
}
