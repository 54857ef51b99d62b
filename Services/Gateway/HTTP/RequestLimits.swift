/// Bounds on a request.
struct RequestLimits: Sendable {
  /// Bounds on its body.
  var body = BodyLimits()
  /// The longest time to answer, from the end of the body; goes to the services as the deadline.
  var timeout: Duration = .seconds(600)

  /// Size up to which texts are put together in one call of a service; a call is at most this and one text.
  var callBytesMax = 1 << 20

  /// How long a streamed answer's head waits for the generation's first event.
  ///
  /// Until then an error is a status of its own; proxies give up on connections that stay silent
  /// for much longer.
  var headDelay: Duration = .seconds(15)

  /// When the gateway itself gives up: later than the services, whose status says more.
  var watchTimeout: Duration { timeout + .seconds(2) }

  /// The answer then.
  var timeoutError: GatewayError {
    GatewayError(.deadlineExceeded, "The request was not answered within \(timeout).")
  }
}
