import HTTPTypes
import Hummingbird
import JSON
import NIOCore

/// Bounds on a request's body.
struct BodyLimits: Sendable {
  /// Largest body, in bytes.
  var bytesMax = 4 << 20
  /// Most JSON values in a body: it bounds memory to a small multiple of the body's size.
  var valuesMax = 100_000
  /// Longest time from the head to the end of the body.
  var timeout: Duration = .seconds(60)
}

extension Request {
  /// Reads the body's JSON, within `limits`, and takes a place among the requests that are worked on;
  /// throws ``GatewayError``.
  func json(on channel: any Channel, limits: BodyLimits) async throws -> JSONValue {
    let tooLarge = GatewayError(
      .bodyTooLarge,
      "The request body is larger than \(limits.bytesMax) bytes."
    )
    let length = headers[.contentLength].flatMap { Int($0) }
    if let length, length > limits.bytesMax { throw tooLarge }
    let tooSlow = GatewayError(
      .requestTimeout,
      "The request body did not arrive within \(limits.timeout)."
    )
    let body = body
    let entry = RequestLoad.current
    try entry?.beginBody()
    let bytes = try await ClientWatch.run(
      on: channel,
      timeout: limits.timeout,
      timeoutError: tooSlow
    ) { () async throws -> [UInt8] in
      var bytes: [UInt8] = []
      for try await buffer in body {
        guard bytes.count + buffer.readableBytes <= limits.bytesMax else { throw tooLarge }
        try entry?.growBody(by: buffer.readableBytes)
        bytes += buffer.readableBytesView
      }
      return bytes
    }
    // Hummingbird takes the end of the connection for the end of the body.
    if let length, bytes.count < length { throw GatewayError.clientClosed }
    try entry?.beginWork()
    do {
      return try JSONReader.parse(bytes, valuesMax: limits.valuesMax)
    } catch {
      throw GatewayError(
        .invalidRequest,
        "The request body is not valid JSON: \(error).",
        reason: "invalid_json",
        cause: error
      )
    }
  }
}
