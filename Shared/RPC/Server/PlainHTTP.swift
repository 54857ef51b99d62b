import NIOCore

/// A request that is not gRPC's, such as `GET /healthz`.
public struct PlainHTTPRequest: Sendable {
  /// The method, such as `GET`.
  public let method: String
  /// The path with its query, as it was sent.
  public let path: String
  /// The host that was asked for, as `:authority` or else `host` names it; empty without either.
  public let authority: String
  /// The header fields in order, names in lower case, pseudo-headers left out.
  public let headers: [(name: String, value: String)]
  /// The body; at most `ServerConfiguration.httpBodyBytesMax` bytes.
  public let body: [UInt8]
  /// The client's address and port.
  public let remoteAddress: String
  /// The client by its certificate.
  public let peer: PeerIdentity?
}

/// The answer to a request that is not gRPC's.
public struct PlainHTTPResponse: Sendable {
  /// The status code.
  public var status: Int
  /// Header fields, names in lower case; `content-length` is added.
  public var headers: [(name: String, value: String)]
  /// The body, which a HEAD request does not get.
  public var body: [UInt8]

  /// Creates an answer; `status` is a final one, 200 or above.
  public init(status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
    precondition((200...599).contains(status), "HTTP: \(status) is no status of an answer")
    self.status = status
    self.headers = headers
    self.body = body
  }

  /// Creates an answer of text.
  public init(status: Int, text: String) {
    self.init(
      status: status,
      headers: [("content-type", "text/plain; charset=utf-8")],
      body: Array(text.utf8)
    )
  }

  /// The head as it is sent.
  var fields: [HeaderField] {
    // Fields of a connection mean nothing in HTTP/2 (RFC 9113, 8.2.2).
    let dropped: Set = [
      "connection", "content-length", "keep-alive", "proxy-connection", "transfer-encoding",
      "upgrade",
    ]
    var fields = [HeaderField(":status", String(status))]
    for (name, value) in headers.map({ ($0.name.lowercased(), $0.value) })
    where !name.hasPrefix(":") && !dropped.contains(name) {
      fields.append(HeaderField(name, value))
    }
    fields.append(HeaderField("content-length", String(body.count)))
    return fields
  }
}

/// Answers requests that are not gRPC's.
///
/// Runs as a handler does; the task is cancelled when the client is gone.
public typealias PlainHTTPHandler = @Sendable (PlainHTTPRequest) async -> PlainHTTPResponse

/// One request that is not gRPC's: collects its body, asks the handler, answers.
///
/// `@unchecked Sendable`: the variables are used on the connection's loop alone.
final class PlainHTTPExchange: @unchecked Sendable {
  private let stream: Int32
  private let connection: ServerConnection
  private let handler: PlainHTTPHandler
  private let fields: [HeaderField]
  private var body: [UInt8] = []
  private var task: Task<Void, Never>?
  private var isOver = false
  /// Whether the body is not complete; the connection bounds the time of all such requests.
  private var isHalf: Bool
  private let startedAt: NIODeadline

  init(
    stream: Int32,
    connection: ServerConnection,
    handler: @escaping PlainHTTPHandler,
    fields: [HeaderField],
    isHalf: Bool
  ) {
    self.stream = stream
    self.connection = connection
    self.handler = handler
    self.fields = fields
    self.isHalf = isHalf
    startedAt = connection.eventLoop.now
    connection.requestBudget.add(fields.listSize)
    if isHalf { connection.halfRequestsChanged(by: 1) }
  }

  /// Begins to take the request, unless too much waits on the connection.
  func start(isComplete: Bool) {
    guard !connection.requestBudget.isExceeded else {
      return respond(PlainHTTPResponse(status: 503))
    }
    if isComplete { receivedEnd() }
  }

  /// Answers 408 if the request began before `start` and is not complete.
  func expireRequest(begunBefore start: NIODeadline) {
    guard isHalf, startedAt < start else { return }
    respond(PlainHTTPResponse(status: 408))
  }

  private func becameWhole() {
    guard isHalf else { return }
    isHalf = false
    connection.halfRequestsChanged(by: -1)
  }

  func received(_ bytes: [UInt8]) {
    guard !isOver, task == nil else { return }
    connection.session.consume(stream, bytes.count)
    connection.requestBudget.add(bytes.count)
    body += bytes
    guard body.count <= connection.core.configuration.httpBodyBytesMax else {
      return respond(PlainHTTPResponse(status: 413))
    }
    guard !connection.requestBudget.isExceeded else {
      return respond(PlainHTTPResponse(status: 503))
    }
  }

  func receivedEnd() {
    guard !isOver, task == nil else { return }
    becameWhole()
    let request = PlainHTTPRequest(
      method: fields.first(":method") ?? "",
      path: fields.first(":path") ?? "",
      authority: fields.first(":authority") ?? fields.first("host") ?? "",
      headers: fields.filter { !$0.name.hasPrefix(":") }.map { ($0.name, $0.value) },
      body: body,
      remoteAddress: connection.remoteAddress,
      peer: connection.peer
    )
    connection.handlerStarted()
    task = Self.spawn(self, request, executor: connection.executor)
    if isOver { task = nil }
  }

  /// Answers 503: the server ends.
  func fail() {
    respond(PlainHTTPResponse(status: 503))
  }

  /// The client has reset the stream, or the connection is gone.
  func lost() {
    guard !isOver else { return }
    end()
  }

  private static func spawn(
    _ exchange: PlainHTTPExchange,
    _ request: PlainHTTPRequest,
    executor: LoopExecutor
  ) -> Task<Void, Never> {
    Task.immediate(executorPreference: executor) {
      let response = await exchange.handler(request)
      exchange.connection.onLoop {
        exchange.respond(response)
        exchange.connection.handlerEnded()
      }
    }
  }

  private func respond(_ response: PlainHTTPResponse) {
    guard !isOver, !connection.isClosed else { return }
    var response = response
    if connection.hasUnreadLimitReached { response = PlainHTTPResponse(status: 503) }
    let isBodiless = response.body.isEmpty || fields.first(":method") == "HEAD"
    connection.session.submitResponse(stream, response.fields, endStream: isBodiless)
    if !isBodiless {
      connection.session.send(stream, response.body)
      connection.session.finish(stream, trailers: [])
    }
    connection.setNeedsFlush()
    end()
  }

  private func end() {
    isOver = true
    becameWhole()
    connection.requestBudget.add(-body.count - fields.listSize)
    body = []
    task?.cancel()
    task = nil
    connection.plainEnded(stream)
  }
}
