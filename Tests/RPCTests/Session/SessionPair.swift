import Testing

@testable import RPC

/// A client and a server session wired to each other in memory.
final class SessionPair {
  let client: HTTP2Session
  let server: HTTP2Session
  var clientEvents: [HTTP2Event] = []
  var serverEvents: [HTTP2Event] = []
  /// Cuts what crosses into pieces of random length.
  var generator: SeededGenerator?
  var now: UInt64 = 1

  init(
    client: HTTP2SessionLimits = HTTP2SessionLimits(),
    server: HTTP2SessionLimits = HTTP2SessionLimits()
  ) throws {
    self.client = try HTTP2Session(role: .client, limits: client)
    self.server = try HTTP2Session(role: .server, limits: server)
  }

  /// Moves bytes in both directions until neither side has any.
  func pump() throws {
    while true {
      var up: [UInt8] = []
      var down: [UInt8] = []
      try client.drain(into: &up)
      try server.drain(into: &down)
      clientEvents += client.takeEvents()
      serverEvents += server.takeEvents()
      if up.isEmpty && down.isEmpty { return }
      try feed(server, up)
      try feed(client, down)
      clientEvents += client.takeEvents()
      serverEvents += server.takeEvents()
    }
  }

  private func feed(_ session: HTTP2Session, _ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = pieceLength(rest.count)
      try session.receive(Array(rest.prefix(count)), at: now)
      rest = rest.dropFirst(count)
    }
  }

  private func pieceLength(_ left: Int) -> Int {
    guard var generator else { return left }
    defer { self.generator = generator }
    return Int.random(in: 1...40, using: &generator)
  }

  func takeClientEvents() -> [HTTP2Event] {
    defer { clientEvents = [] }
    return clientEvents
  }

  func takeServerEvents() -> [HTTP2Event] {
    defer { serverEvents = [] }
    return serverEvents
  }
}

extension HTTP2Session {
  func receive(_ bytes: [UInt8], at now: UInt64 = 1) throws {
    let failure = bytes.withUnsafeBytes { bytes -> HTTP2SessionError? in
      do throws(HTTP2SessionError) {
        try receive(bytes, at: now)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
  }
}

extension HTTP2Event {
  /// A short form to compare with: header fields and bytes in full.
  var brief: String {
    switch self {
    case .head(let stream, let fields, let end, let oversized):
      "head \(stream) \(fields.brief)\(end ? " end" : "")\(oversized ? " oversized" : "")"
    case .data(let stream, let bytes): "data \(stream) \(String(decoding: bytes, as: UTF8.self))"
    case .trailers(let stream, let fields, let oversized):
      "trailers \(stream) \(fields.brief)\(oversized ? " oversized" : "")"
    case .end(let stream): "end \(stream)"
    case .closed(let stream, let code): "closed \(stream) \(code)"
    case .unsent(let stream): "unsent \(stream)"
    case .writable(let stream): "writable \(stream)"
    case .settings: "settings"
    case .pong: "pong"
    case .goAway(let last, let code, _): "goaway \(last) \(code)"
    }
  }
}

extension [HeaderField] {
  var brief: String { map { "\($0.name)=\($0.value)" }.joined(separator: ",") }
}

let requestHead = [
  HeaderField(":method", "POST"), HeaderField(":scheme", "http"), HeaderField(":path", "/s/m"),
  HeaderField(":authority", "a"), HeaderField("te", "trailers"),
  HeaderField("content-type", "application/grpc"),
]
let responseHead = [
  HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
]
