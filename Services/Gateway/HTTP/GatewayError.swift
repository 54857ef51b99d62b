import JSON

/// Why a request is not answered as asked.
struct GatewayError: Error, Sendable {
  /// The closed list of what can go wrong; each has one HTTP status.
  enum Code: Sendable, Hashable, CaseIterable {
    case invalidRequest
    case notFound
    case methodNotAllowed
    case requestTimeout
    case bodyTooLarge
    case headTooLarge
    case overloaded
    case deadlineExceeded
    case unavailable
    case internalFailure
    /// There is no room on a disk; later is no better than now.
    case storageFull
    /// The client went away: nobody reads the answer.
    case clientClosed
  }

  /// The kind of failure.
  let code: Code
  /// What is wrong, for the caller.
  ///
  /// Holds no prompt, secret or inner detail.
  let message: String
  /// The request's field that is at fault, such as `messages[0].role`.
  let parameter: String?
  /// OpenAI's machine-readable `code`, such as `model_not_found`.
  let reason: String?
  /// The methods that a path knows, for 405.
  let allow: String?
  /// The error underneath, for the log.
  let cause: (any Error)?

  init(
    _ code: Code,
    _ message: String,
    parameter: String? = nil,
    reason: String? = nil,
    allow: String? = nil,
    cause: (any Error)? = nil
  ) {
    self.code = code
    self.message = message
    self.parameter = parameter
    self.reason = reason
    self.allow = allow
    self.cause = cause
  }
}

extension GatewayError {
  /// A field is wrong.
  static func invalid(_ parameter: String?, _ reason: String?, _ message: String) -> GatewayError {
    GatewayError(.invalidRequest, message, parameter: parameter, reason: reason)
  }

  /// OpenAI's answer to a model that does not exist.
  static func modelNotFound(_ model: String) -> GatewayError {
    GatewayError(
      .notFound,
      "The model '\(model.quotable)' does not exist.",
      parameter: "model",
      reason: "model_not_found"
    )
  }

  /// The HTTP status.
  ///
  /// 499 is nginx's "client closed request": it is counted, never sent.
  var status: Int {
    switch code {
    case .invalidRequest: 400
    case .notFound: 404
    case .methodNotAllowed: 405
    case .requestTimeout: 408
    case .bodyTooLarge: 413
    case .overloaded: 429
    case .headTooLarge: 431
    case .clientClosed: 499
    case .internalFailure: 500
    case .unavailable: 503
    case .deadlineExceeded: 504
    case .storageFull: 507
    }
  }

  /// OpenAI's `type`.
  var type: String {
    switch code {
    case .invalidRequest, .notFound, .methodNotAllowed, .bodyTooLarge, .headTooLarge,
      .requestTimeout, .clientClosed:
      "invalid_request_error"
    case .overloaded: "rate_limit_error"
    case .internalFailure, .unavailable, .deadlineExceeded, .storageFull: "server_error"
    }
  }

  /// OpenAI's `code`: the field's own or the failure's.
  private var reasonOrDefault: String? {
    if let reason { return reason }
    return switch code {
    case .overloaded: "rate_limit_exceeded"
    case .deadlineExceeded: "timeout"
    case .unavailable: "service_unavailable"
    case .internalFailure: "internal_error"
    case .storageFull: "insufficient_storage"
    case .requestTimeout: "request_timeout"
    case .bodyTooLarge: "request_too_large"
    case .headTooLarge: "request_headers_too_large"
    case .methodNotAllowed: "method_not_allowed"
    case .notFound, .invalidRequest, .clientClosed: nil
    }
  }

  /// Seconds after which a retry makes sense (`Retry-After`).
  var retryAfterSeconds: Int? {
    switch code {
    case .overloaded, .unavailable: 1
    default: nil
    }
  }

  /// Whether the connection must not be used again, as the rest of the request is not read.
  var closesConnection: Bool {
    switch code {
    case .requestTimeout, .bodyTooLarge, .headTooLarge, .clientClosed: true
    default: false
    }
  }

  /// `{"error":{"message","type","param","code"}}`.
  var body: [UInt8] {
    var json = JSONText()
    json.raw(#"{"error":{"message":"#)
    json.string(message)
    json.raw(#","type":"#)
    json.string(type)
    json.raw(#","param":"#)
    json.string(parameter)
    json.raw(#","code":"#)
    json.string(reasonOrDefault)
    json.raw("}}")
    return json.bytes
  }
}

extension String {
  /// Most characters of a caller's text that a message repeats.
  private static let quotedMax = 100

  /// The text as error messages repeat it: of bounded length.
  var quotable: String { excerpt(Self.quotedMax) }
}
