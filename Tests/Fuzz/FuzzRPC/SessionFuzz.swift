@testable import FuzzedRPC

/// The HTTP/2 session in both roles: bytes of a peer in pieces of any length.
enum SessionFuzz {
  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
  /// An empty SETTINGS frame.
  static let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
  static let responseHead = [
    HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
  ]

  private static var limits: HTTP2SessionLimits {
    var limits = HTTP2SessionLimits()
    limits.maxConcurrentStreams = 8
    limits.maxHeaderListBytes = 4_096
    limits.streamWindowBytes = 4_096
    limits.writeHighBytes = 1_024
    limits.writeLowBytes = 256
    limits.queuedFrames = 200
    return limits
  }

  static func server(_ bytes: [UInt8]) {
    var input = FuzzInput(bytes)
    let (behaviour, cuts) = (input.byte(), input.byte())
    guard let session = try? HTTP2Session(role: .server, limits: limits) else { return }
    var watch = SessionWatch(session)
    if behaviour & 1 == 0 { watch.receive(preface + settings) }
    for piece in input.pieces(cuts) {
      guard watch.receive(piece) else { break }
      for event in watch.takeEvents() {
        switch event {
        case .head(let stream, _, _, _):
          if behaviour & 2 != 0 { session.reset(stream, .refusedStream) }
          session.submitResponse(stream, responseHead, endStream: behaviour & 4 != 0)
          if behaviour & 8 != 0 { session.send(stream, [UInt8](repeating: 1, count: 3_000)) }
        case .data(let stream, let bytes): session.consume(stream, bytes.count)
        case .end(let stream), .trailers(let stream, _, _):
          session.send(stream, [0, 0, 0, 0, 1, 7])
          session.finish(stream, trailers: [HeaderField("grpc-status", "0")])
        default: break
        }
      }
      if behaviour & 16 == 0 { watch.drain() }
    }
    watch.drain()
  }

  static func client(_ bytes: [UInt8]) {
    var input = FuzzInput(bytes)
    let (behaviour, cuts) = (input.byte(), input.byte())
    guard let session = try? HTTP2Session(role: .client, limits: limits) else { return }
    var watch = SessionWatch(session)
    let head = [
      HeaderField(":method", "POST"), HeaderField(":scheme", "http"), HeaderField(":path", "/s/m"),
      HeaderField(":authority", "a"), HeaderField("te", "trailers"),
    ]
    for _ in 0..<(Int(behaviour & 3) + 1) {
      guard let stream = session.submitRequest(head, endStream: false) else { break }
      session.send(stream, [UInt8](repeating: 1, count: 2_000))
      if behaviour & 4 == 0 { session.finish(stream, trailers: []) }
    }
    watch.drain()
    if behaviour & 8 == 0 { watch.receive(settings) }
    for piece in input.pieces(cuts) {
      guard watch.receive(piece) else { break }
      for event in watch.takeEvents() {
        switch event {
        case .data(let stream, let bytes):
          if behaviour & 16 == 0 { session.consume(stream, bytes.count) }
        case .head(let stream, _, _, _):
          if behaviour & 32 != 0 { session.reset(stream, .cancel) }
        default: break
        }
      }
      watch.drain()
    }
  }
}

/// What must hold of a session whatever it receives.
struct SessionWatch {
  private let session: HTTP2Session
  private var now: UInt64 = 1
  private var closed: Set<Int32> = []
  private var ended: Set<Int32> = []

  init(_ session: HTTP2Session) { self.session = session }

  /// Feeds bytes; false when the session is over.
  @discardableResult
  mutating func receive(_ bytes: [UInt8]) -> Bool {
    now += 1_000_000
    do throws(HTTP2SessionError) {
      try session.receive(bytes, at: now)
    } catch {
      check()
      return false
    }
    check()
    return session.violation == nil
  }

  mutating func drain() {
    var output: [UInt8] = []
    try? session.drain(into: &output)
    check()
  }

  mutating func takeEvents() -> [HTTP2Event] {
    let events = session.takeEvents()
    for event in events {
      switch event {
      case .head(let stream, let fields, let end, let isOversized):
        precondition(!closed.contains(stream), "a head after the end of stream \(stream)")
        precondition(isOversized || fields.listSize <= 4_096, "a list above the limit")
        if end { precondition(ended.insert(stream).inserted, "stream \(stream) ends twice") }
      case .data(let stream, _):
        precondition(!closed.contains(stream) && !ended.contains(stream), "data after the end")
      case .end(let stream), .trailers(let stream, _, _):
        precondition(!closed.contains(stream), "an end after the end of stream \(stream)")
        precondition(ended.insert(stream).inserted, "stream \(stream) ends twice")
      case .closed(let stream, _):
        precondition(closed.insert(stream).inserted, "stream \(stream) is closed twice")
      default: break
      }
    }
    return events
  }

  private func check() {
    precondition(session.heldBytes >= 0, "\(session.heldBytes) bytes are held")
    precondition(
      session.role == .client || session.streamCount <= 8,
      "\(session.streamCount) streams"
    )
  }
}
