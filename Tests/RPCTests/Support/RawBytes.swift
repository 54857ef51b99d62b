import NIOCore
import NIOPosix
import Synchronization

/// A frame of HTTP/2 as bytes (RFC 9113, 4.1), for peers that break rules.
struct RawFrame: Equatable {
  var type: UInt8
  var flags: UInt8 = 0
  var stream: UInt32 = 0
  var payload: [UInt8] = []

  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
  /// An empty SETTINGS frame.
  static let settings = RawFrame(type: 4)
  static let settingsAck = RawFrame(type: 4, flags: 1)
  static let ping = RawFrame(type: 6, payload: [UInt8](repeating: 7, count: 8))
  /// A frame that ends any connection: DATA on stream 0.
  static let bad = RawFrame(type: 0)
  /// What a client begins with.
  static let hello = preface + settings.bytes

  /// HPACK of a call's head: literals without indexing, so that no table is needed.
  static func block(_ fields: [(String, String)]) -> [UInt8] {
    fields.flatMap { name, value in
      [0x00] + string(name) + string(value)
    }
  }

  private static func string(_ text: String) -> [UInt8] {
    let bytes = Array(text.utf8)
    guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
    var rest = bytes.count - 127
    var length: [UInt8] = [127]
    while rest >= 128 {
      length.append(UInt8(rest & 127) | 128)
      rest >>= 7
    }
    return length + [UInt8(rest)] + bytes
  }

  /// The head of a call of `path`.
  static func call(
    _ stream: UInt32,
    path: String = "/test.Echo/Unary",
    end: Bool = false,
    _ more: [(String, String)] = []
  ) -> RawFrame {
    let fields =
      [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a"),
        ("te", "trailers"), ("content-type", "application/grpc"),
      ] + more
    return RawFrame(type: 1, flags: end ? 5 : 4, stream: stream, payload: block(fields))
  }

  static func data(_ stream: UInt32, _ payload: [UInt8], end: Bool = false) -> RawFrame {
    RawFrame(type: 0, flags: end ? 1 : 0, stream: stream, payload: payload)
  }

  static func reset(_ stream: UInt32, _ code: UInt8) -> RawFrame {
    RawFrame(type: 3, stream: stream, payload: [0, 0, 0, code])
  }

  var bytes: [UInt8] {
    let length = UInt32(payload.count)
    let header: [UInt8] = [
      UInt8(length >> 16 & 0xff), UInt8(length >> 8 & 0xff), UInt8(length & 0xff), type, flags,
      UInt8(stream >> 24), UInt8(stream >> 16 & 0xff), UInt8(stream >> 8 & 0xff),
      UInt8(stream & 0xff),
    ]
    return header + payload
  }

  /// The frames in `bytes`, of which the last may be cut.
  static func parse(_ bytes: [UInt8]) -> [RawFrame] {
    var frames: [RawFrame] = []
    var rest = bytes[...]
    while rest.count >= 9 {
      let header = Array(rest.prefix(9))
      let length = Int(header[0]) << 16 | Int(header[1]) << 8 | Int(header[2])
      guard rest.count >= 9 + length else { break }
      let stream = header[5...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      let payload = Array(rest.dropFirst(9).prefix(length))
      frames.append(RawFrame(type: header[3], flags: header[4], stream: stream, payload: payload))
      rest = rest.dropFirst(9 + length)
    }
    return frames
  }

  /// What a GOAWAY says.
  var goAway: (code: UInt8, debug: String)? {
    guard type == 7, payload.count >= 8 else { return nil }
    return (payload[7], String(decoding: payload.dropFirst(8), as: UTF8.self))
  }
}

extension [RawFrame] {
  var bytes: [UInt8] { flatMap(\.bytes) }

  /// What the last GOAWAY says.
  var goAway: (code: UInt8, debug: String)? { compactMap(\.goAway).last }
}

/// A TCP connection that sends what a test says and keeps what comes.
final class RawSocket: ChannelInboundHandler, Sendable {
  typealias InboundIn = ByteBuffer

  private struct State {
    var received: [UInt8] = []
    var waiters: [(isMet: @Sendable ([RawFrame]) -> Bool, signal: Signal)] = []
    var isClosed = false
  }

  private let state = Mutex(State())

  /// Connects; with `reads` false nothing is ever taken from the socket.
  static func connect(port: Int, reads: Bool = true) async throws -> (RawSocket, any Channel) {
    let socket = RawSocket()
    let channel = try await ClientBootstrap(group: testGroup)
      .channelOption(.autoRead, value: reads)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(socket)
        }
      }
      .connect(host: "127.0.0.1", port: port).get()
    return (socket, channel)
  }

  /// Sends bytes and returns the frames that came until the server closed the connection.
  static func exchange(port: Int, _ bytes: [UInt8]) async throws -> [RawFrame] {
    let (socket, channel) = try await connect(port: port)
    try? await channel.writeAndFlush(ByteBuffer(bytes: bytes))
    try await channel.closeFuture.get()
    return socket.frames
  }

  /// What came so far.
  var frames: [RawFrame] { state.withLock { RawFrame.parse($0.received) } }

  /// Waits until what came meets a condition, or the connection is closed.
  func wait(_ isMet: @escaping @Sendable ([RawFrame]) -> Bool) async -> [RawFrame] {
    let signal = Signal()
    let isOver = state.withLock { state in
      if state.isClosed || isMet(RawFrame.parse(state.received)) { return true }
      state.waiters.append((isMet, signal))
      return false
    }
    if !isOver { await signal.wait() }
    return frames
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    let met = state.withLock { state in
      state.received += Array(buffer.readableBytesView)
      guard !state.waiters.isEmpty else { return [Signal]() }
      let frames = RawFrame.parse(state.received)
      let met = state.waiters.filter { $0.isMet(frames) }.map(\.signal)
      state.waiters.removeAll { $0.isMet(frames) }
      return met
    }
    for signal in met { signal.set() }
  }

  func channelInactive(context: ChannelHandlerContext) {
    let waiters = state.withLock { state in
      state.isClosed = true
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.signal.set() }
    context.fireChannelInactive()
  }
}
