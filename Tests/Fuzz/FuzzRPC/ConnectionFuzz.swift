import Logging
import NIOCore
import NIOEmbedded

@testable import FuzzedRPC

/// A message whose encoding is its bytes.
struct FuzzMessage: RPCMessage {
  var bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  init(serialized bytes: UnsafeRawBufferPointer) throws(RPCError) {
    guard bytes.first != 0xff else { throw RPCError(.invalidArgument, "bytes: begin with 0xFF") }
    self.bytes = Array(bytes)
  }

  func serialize(into output: inout [UInt8]) throws(RPCError) {
    output.append(contentsOf: bytes)
  }
}

/// One method of each kind, under short paths.
enum FuzzMethods {
  static let unary = MethodDescriptor(service: "f", method: "u", kind: .unary)
  static let expand = MethodDescriptor(service: "f", method: "e", kind: .serverStreaming)
  static let collect = MethodDescriptor(service: "f", method: "c", kind: .clientStreaming)
  static let chat = MethodDescriptor(service: "f", method: "b", kind: .bidirectional)
  static let all = [unary, expand, collect, chat]

  static var router: Router {
    var router = Router()
    router.unary(unary) { (request: FuzzMessage, context) -> FuzzMessage in
      context.setInitialMetadata(context.metadata)
      if request.bytes.first == 1 { throw RPCError(.notFound, "one", metadata: context.metadata) }
      if request.bytes.first == 2 { context.compressResponses() }
      return request
    }
    router.serverStreaming(expand) {
      (request: FuzzMessage, context, responses: ResponseWriter<FuzzMessage>) in
      for byte in request.bytes.prefix(20) {
        try await responses.write(FuzzMessage([UInt8](repeating: byte, count: Int(byte) * 30)))
      }
    }
    router.clientStreaming(collect) {
      (requests: RequestStream<FuzzMessage>, context) -> FuzzMessage in
      var count = 0
      for try await request in requests {
        count += request.bytes.count
        if request.bytes.first == 1 { throw RPCError(.aborted, "one") }
        if request.bytes.first == 2 { break }
      }
      return FuzzMessage(Array("\(count)".utf8))
    }
    router.bidirectional(chat) {
      (requests: RequestStream<FuzzMessage>, context, responses: ResponseWriter<FuzzMessage>) in
      for try await request in requests { try await responses.write(request) }
    }
    return router
  }
}

/// A whole server connection, with handlers, on a loop whose clock the input moves.
enum ConnectionFuzz {
  private final class Served {
    let loop = EmbeddedEventLoop()
    let census = Census()
    let channel: EmbeddedChannel
    private let core: ServerCore
    private var ended = Ended()

    init() {
      var configuration = ServerConfiguration()
      configuration.logger.logLevel = .critical
      configuration.census = census
      configuration.maxMessageBytes = 5_000
      configuration.maxMetadataBytes = 4_096
      configuration.maxConcurrentStreams = 8
      configuration.streamWindowBytes = 4_096
      configuration.writeBufferBytes = 1_024
      configuration.maxBufferedBytes = 20_000
      configuration.maxUnreadBytes = 20_000
      configuration.maxConnectionIdle = .seconds(60)
      configuration.random = RandomSource { 7 }
      let ended = ended
      configuration.onCallEnd = { _ in ended.count += 1 }
      core = ServerCore(router: FuzzMethods.router, configuration: configuration)
      channel = EmbeddedChannel(loop: loop)
      do {
        try RPCServer.configure(channel, core: core, remoteAddress: "fuzz")
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
      } catch {
        preconditionFailure("no connection: \(error)")
      }
    }

    func receive(_ bytes: [UInt8]) {
      guard channel.isActive else { return }
      _ = try? channel.writeInbound(ByteBuffer(bytes: bytes))
      loop.run()
    }

    func sent() -> [UInt8] {
      var bytes: [UInt8] = []
      while let buffer = try? channel.readOutbound(as: ByteBuffer.self) {
        bytes.append(contentsOf: buffer.readableBytesView)
      }
      return bytes
    }

    /// Closes the connection; nothing of it may be left.
    func end() {
      channel.close(promise: nil)
      loop.run()
      loop.advanceTime(by: .hours(1))
      loop.run()
      for kind in Census.Kind.allCases where kind != .serverConnection {
        precondition(census[kind].alive == 0, "\(census[kind].alive) of kind \(kind) are left")
      }
      precondition(core.requestBytes.usedBytes == 0, "bytes of requests are left")
      precondition(core.unreadBytes.usedBytes == 0, "bytes of responses are left")
      precondition(
        census[.serverCall].made == ended.count,
        "\(census[.serverCall].made) calls began, \(ended.count) ended"
      )
    }
  }

  /// `@unchecked Sendable`: a fuzzer has one thread.
  private final class Ended: @unchecked Sendable {
    var count = 0
  }

  /// Any bytes, after the preface or not.
  static func raw(_ bytes: [UInt8]) {
    var input = FuzzInput(bytes)
    let (behaviour, cuts) = (input.byte(), input.byte())
    let served = Served()
    if behaviour & 1 == 0 { served.receive(SessionFuzz.preface + SessionFuzz.settings) }
    for piece in input.pieces(cuts) {
      served.receive(piece)
      _ = served.sent()
    }
    served.end()
  }

  /// What a client does that speaks HTTP/2 and makes of gRPC what it likes.
  static func scripted(_ bytes: [UInt8]) {
    var input = FuzzInput(bytes)
    let served = Served()
    guard let peer = try? HTTP2Session(role: .client) else { return }
    var streams: [Int32] = []
    var steps = 0
    while !input.isEmpty, steps < 200, served.channel.isActive {
      steps += 1
      step(&input, peer, served, &streams)
      var up: [UInt8] = []
      try? peer.drain(into: &up)
      if input.byte() & 1 == 0 {
        served.receive(up)
      } else {
        for start in stride(from: 0, to: up.count, by: 7) {
          served.receive(Array(up[start..<min(start + 7, up.count)]))
        }
      }
      let down = served.sent()
      if (try? peer.receive(down, at: UInt64(steps))) == nil, !down.isEmpty {
        preconditionFailure("the server breaks HTTP/2")
      }
      _ = peer.takeEvents()
    }
    served.end()
  }

  private static func step(
    _ input: inout FuzzInput,
    _ peer: HTTP2Session,
    _ served: Served,
    _ streams: inout [Int32]
  ) {
    let stream = streams.isEmpty ? 0 : streams[input.number(below: streams.count)]
    switch input.number(below: 8) {
    case 0:
      if let stream = peer.submitRequest(head(&input), endStream: false) { streams.append(stream) }
    case 1, 2:
      let count = Int(input.byte())
      let body = input.take(count)
      let flag = input.byte()
      peer.send(stream, [flag < 250 ? flag & 1 : flag, 0, 0, 0, UInt8(body.count)] + body)
    case 3: peer.send(stream, input.take(Int(input.byte())))
    case 4: peer.finish(stream, trailers: [])
    case 5: peer.reset(stream, HTTP2ErrorCode(rawValue: UInt32(input.number(below: 15))))
    case 6: served.loop.advanceTime(by: .milliseconds(Int64(input.byte()) * 37))
    default:
      peer.consume(stream, Int(input.byte()) * 20)
      if input.byte() & 7 == 0 { peer.submitPing() }
    }
  }

  private static func head(_ input: inout FuzzInput) -> [HeaderField] {
    let paths = ["/f/u", "/f/e", "/f/c", "/f/b", "/f/x", "f", "/", "/f/u/"]
    let types = ["application/grpc", "application/grpc+proto", "text/plain", "application/grpcx"]
    var fields = [
      HeaderField(":method", input.byte() < 240 ? "POST" : "GET"),
      HeaderField(":scheme", "http"),
      HeaderField(":path", paths[input.number(below: paths.count)]),
      HeaderField(":authority", "a"),
      HeaderField("te", input.byte() < 240 ? "trailers" : "x"),
      HeaderField("content-type", types[input.byte() < 200 ? 0 : input.number(below: 4)]),
    ]
    let extra = input.byte()
    func text(_ input: inout FuzzInput) -> String {
      String(decoding: input.take(input.number(below: 12)).map { $0 & 0x7f | 0x20 }, as: UTF8.self)
    }
    if extra & 1 != 0 { fields.append(HeaderField("grpc-timeout", text(&input))) }
    if extra & 2 != 0 { fields.append(HeaderField("grpc-timeout", "\(input.byte())m")) }
    if extra & 4 != 0 {
      fields.append(HeaderField("grpc-encoding", extra & 8 != 0 ? "gzip" : text(&input)))
    }
    if extra & 16 != 0 { fields.append(HeaderField("grpc-accept-encoding", "identity,gzip")) }
    if extra & 32 != 0 { fields.append(HeaderField("x-bin", text(&input))) }
    if extra & 64 != 0 {
      fields.append(HeaderField("x", String(repeating: "y", count: Int(input.byte()) * 20)))
    }
    return fields
  }
}
