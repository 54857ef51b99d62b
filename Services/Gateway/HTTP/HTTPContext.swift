import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// What Hummingbird carries through the handling of a request.
struct HTTPContext: Hummingbird.RequestContext {
  var coreContext: CoreRequestContextStorage
  /// The client's connection.
  let channel: any Channel

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }
}

extension HTTPField.Name {
  /// Names one request in logs of all services; any valid header name is a valid constant.
  static let requestID = constant("X-Request-Id")
  static let traceparent = constant("traceparent")
  static let tracestate = constant("tracestate")
  static let accelBuffering = constant("X-Accel-Buffering")

  private static func constant(_ name: String) -> HTTPField.Name {
    guard let name = HTTPField.Name(name) else { preconditionFailure("not a header name: \(name)") }
    return name
  }
}

extension Response {
  /// An answer of JSON made by hand.
  static func json(
    _ bytes: [UInt8],
    status: HTTPResponse.Status = .ok,
    headers: HTTPFields = HTTPFields()
  ) -> Response {
    var headers = headers
    headers[.contentType] = "application/json"
    headers[.contentLength] = String(bytes.count)
    return Response(
      status: status,
      headers: headers,
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes))
    )
  }

  /// The answer to a request that failed.
  static func error(_ error: GatewayError) -> Response {
    var headers = HTTPFields()
    if let seconds = error.retryAfterSeconds { headers[.retryAfter] = String(seconds) }
    if let allow = error.allow { headers[.allow] = allow }
    if error.closesConnection { headers[.connection] = "close" }
    return json(error.body, status: .init(code: error.status), headers: headers)
  }
}
