import NIOCore
import NIOPosix

@testable import RPC

/// A server that answers frame by frame as a test says, to see how our client takes it.
///
/// `@unchecked Sendable`: the variables are used on the connection's loop alone.
final class RawServer: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  /// Answers a request on a stream; the number says how many came before on all connections.
  typealias Answer = @Sendable (RawServer, Int32, Int) -> Void

  let session: HTTP2Session
  private let answer: Answer
  private let requests: Counter
  /// What came of each request so far.
  private(set) var heads: [Int32: [HeaderField]] = [:]
  private(set) var bodies: [Int32: [UInt8]] = [:]
  private var context: ChannelHandlerContext?
  /// Set before the first request, from then on read alone.
  private var eventLoop: (any EventLoop)?

  private init(
    _ answer: @escaping Answer,
    _ requests: Counter,
    _ limits: HTTP2SessionLimits
  )
    throws
  {
    session = try HTTP2Session(role: .server, limits: limits)
    self.answer = answer
    self.requests = requests
  }

  /// Runs `body` with a channel to a server that answers with `answer`; `target` makes what the
  /// channel connects to of the server's port.
  static func with(
    _ answer: @escaping Answer,
    limits: HTTP2SessionLimits = HTTP2SessionLimits(),
    channel configuration: ChannelConfiguration = ChannelConfiguration(),
    unixPath: String? = nil,
    target: (Int) -> String = { "127.0.0.1:\($0)" },
    _ body: (RPCChannel) async throws -> Void
  ) async throws {
    let requests = Counter()
    let bootstrap = ServerBootstrap(group: testGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            try RawServer(answer, requests, limits)
          )
        }
      }
    let listener =
      if let unixPath {
        try await bootstrap.bind(unixDomainSocketPath: unixPath).get()
      } else {
        try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
      }
    let port = listener.localAddress?.port ?? 0
    let channel = RPCChannel(
      target: try ChannelTarget(parsing: unixPath.map { "unix:\($0)" } ?? target(port)),
      configuration: configuration,
      group: testGroup
    )
    do {
      try await body(channel)
    } catch {
      await channel.close()
      try? await listener.close()
      throw error
    }
    await channel.close()
    try await listener.close()
  }

  func channelActive(context: ChannelHandlerContext) {
    self.context = context
    eventLoop = context.eventLoop
    flush()
  }

  func channelInactive(context: ChannelHandlerContext) {
    self.context = nil
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    try? session.receive(Array(buffer.readableBytesView))
    for event in session.takeEvents() {
      if case .head(let stream, let fields, _, _) = event { heads[stream] = fields }
      if case .data(let stream, let bytes) = event { bodies[stream, default: []] += bytes }
      switch event {
      case .end(let stream), .head(let stream, _, true, _): ask(stream)
      default: break
      }
    }
    flush()
    if session.isFinished { context.close(promise: nil) }
  }

  /// Closes the connection.
  func close() {
    context?.close(promise: nil)
  }

  /// Sends bytes that the session knows nothing of, after what it has to send.
  func send(_ bytes: [UInt8]) {
    flush()
    context?.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
  }

  /// A GOAWAY frame (RFC 9113, 6.8).
  static func goAway(
    lastStream: UInt8,
    code: HTTP2ErrorCode = .noError,
    debug: String = ""
  )
    -> [UInt8]
  {
    [0, 0, UInt8(8 + debug.utf8.count), 7, 0, 0, 0, 0, 0]
      + [0, 0, 0, lastStream, 0, 0, 0, UInt8(code.rawValue)] + Array(debug.utf8)
  }

  /// Answers a call from another thread.
  func answerLater(_ stream: Int32, _ text: String) {
    eventLoop?.execute {
      self.session.answer(stream, text)
      self.flush()
    }
  }

  private func ask(_ stream: Int32) {
    let before = requests.value
    requests.increment()
    answer(self, stream, before)
  }

  /// Sends what the session has to send.
  func flush() {
    var output: [UInt8] = []
    try? session.drain(into: &output)
    guard let context else { return }
    if !output.isEmpty {
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: output)), promise: nil)
    }
  }
}

extension HTTP2Session {
  /// Answers a call with a status alone.
  func refuse(_ stream: Int32, _ code: StatusCode, _ more: [HeaderField] = []) {
    submitResponse(
      stream,
      responseHead + [HeaderField("grpc-status", "\(code.rawValue)")] + more,
      endStream: true
    )
  }

  /// Answers a call as a server should.
  func answer(_ stream: Int32, _ text: String) {
    submitResponse(stream, responseHead, endStream: false)
    send(stream, [0, 0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8))
    finish(stream, trailers: [HeaderField("grpc-status", "0")])
  }
}
