import NIOCore
import Testing

@testable import RPC

/// Our server under RFC 9113, sections 3 to 8, byte by byte.
///
/// Every exchange has an end: what a rule waits for, the server's close, or the answer to a PING
/// that follows the bytes; and a bound, after which the connection is closed from here.
@Suite(.timeLimit(.minutes(5))) struct HTTP2RulesTests {
  private static let bound = TimeAmount.seconds(30)
  private static let marks = [UInt8(1), 2].map {
    RawFrame(type: 6, payload: [UInt8](repeating: 0xa0 + $0, count: 8))
  }

  /// Runs `body` with a connection to a server, which ends with it, or after the bound.
  private func connected(
    _ body: (RawSocket, any Channel) async throws -> Void
  ) async throws {
    try await withServer { _, port in
      let (socket, channel) = try await RawSocket.connect(port: port)
      let bound = channel.eventLoop.scheduleTask(in: Self.bound) {
        Issue.record("the exchange did not end")
        channel.close(promise: nil)
      }
      defer {
        bound.cancel()
        channel.close(promise: nil)
      }
      try await body(socket, channel)
    }
  }

  @Test(arguments: HTTP2Rule.all)
  func `a server keeps the rule`(rule: HTTP2Rule) async throws {
    try await connected { socket, channel in
      try? await channel.writeAndFlush(ByteBuffer(bytes: RawFrame.hello + rule.sends))
      var frames: [RawFrame] = []
      if rule.waitsForHandler {
        frames = await socket.wait(rule.isOver)
      } else {
        // A server that has taken two round trips more will not do anything else.
        for mark in Self.marks where !rule.isMet(frames) {
          try? await channel.writeAndFlush(ByteBuffer(bytes: mark.bytes))
          frames = await socket.wait {
            rule.isOver($0) || $0.contains { $0.type == 6 && $0.payload == mark.payload }
          }
        }
      }
      guard rule.isMet(frames) else {
        Issue.record("\(frames.suffix(5))")
        return
      }
      switch rule.outcome {
      case .connectionError: try await channel.closeFuture.get()
      case .answer, .anyError: break
      case .alive, .streamError, .data:
        // The connection serves on.
        let next = HTTP2Rule.call(4001) + [HTTP2Rule.windowUpdate(4001, 1000)]
        try await channel.writeAndFlush(ByteBuffer(bytes: next.bytes))
        let last = HTTP2Rule("", "", [], .answer(4001))
        frames = await socket.wait(last.isOver)
        #expect(last.isMet(frames) && rule.isMet(frames), "\(frames.suffix(5))")
      }
    }
  }

  @Test(arguments: [
    Array("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".utf8), Array("POST / HTTP/1.1\r\n\r\n".utf8),
    RawFrame.preface + RawFrame.ping.bytes, RawFrame.preface + HTTP2Rule.call().bytes,
    RawFrame.preface + RawFrame.settingsAck.bytes,
  ])
  func `3.4 a connection begins with the preface and SETTINGS`(bytes: [UInt8]) async throws {
    try await connected { socket, channel in
      try? await channel.writeAndFlush(ByteBuffer(bytes: bytes))
      try await channel.closeFuture.get()
      #expect(socket.frames.allSatisfy { $0.type != 1 })
    }
  }

  @Test func `3.4 a server begins with SETTINGS and acknowledges the client's`() async throws {
    try await connected { socket, channel in
      try await channel.writeAndFlush(ByteBuffer(bytes: RawFrame.hello))
      let frames = await socket.wait { $0.contains(.settingsAck) }
      #expect(frames.first?.type == 4)
      #expect(frames.first?.flags == 0)
      #expect(frames.filter { $0 == .settingsAck }.count == 1)
    }
  }
}

extension HTTP2Rule {
  /// Whether the frames that came meet the rule.
  func isMet(_ frames: [RawFrame]) -> Bool {
    switch outcome {
    case .connectionError(let codes): frames.goAway.map { codes.contains($0.code) } ?? false
    case .streamError(let stream, let codes): resets(frames, stream, codes)
    case .anyError(let stream, let codes):
      resets(frames, stream, codes) || frames.goAway.map { codes.contains($0.code) } ?? false
    case .answer(let stream):
      frames.contains { $0.type == 1 && $0.flags & 1 != 0 && $0.stream == stream }
    case .alive(let wanted): wanted.allSatisfy(frames.contains) && frames.goAway == nil
    case .data(let stream, let bytes):
      frames.filter { $0.type == 0 && $0.stream == stream }.flatMap(\.payload) == bytes
        && frames.goAway == nil
    }
  }

  /// Whether what is to come is made by a handler, which a PING may overtake.
  var waitsForHandler: Bool {
    switch outcome {
    case .answer, .data: true
    case .connectionError, .streamError, .anyError, .alive: false
    }
  }

  /// Whether nothing that comes can change the result.
  func isOver(_ frames: [RawFrame]) -> Bool {
    if case .answer(let stream) = outcome,
      frames.contains(where: { $0.type == 3 && $0.stream == stream })
    {
      return true
    }
    return isMet(frames) || frames.goAway != nil
  }

  private func resets(_ frames: [RawFrame], _ stream: UInt32, _ codes: Set<UInt8>) -> Bool {
    frames.contains { frame in
      frame.type == 3 && frame.stream == stream && frame.payload.count == 4
        && codes.contains(frame.payload[3])
    }
  }
}
