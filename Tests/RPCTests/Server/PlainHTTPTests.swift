import NIOCore
import Synchronization
import Testing

@testable import RPC

/// Requests that are not gRPC's and go to a handler.
@Suite(.timeLimit(.minutes(5))) struct PlainHTTPTests {
  /// Answers with what it was asked.
  private static let mirror: PlainHTTPHandler = { request in
    let type = request.headers.first { $0.name == "content-type" }?.value ?? "-"
    let text =
      "\(request.method) \(request.path) \(type) \(String(decoding: request.body, as: UTF8.self))"
    return PlainHTTPResponse(status: 200, headers: [("x-of", "mirror")], body: Array(text.utf8))
  }

  private static var configuration: ServerConfiguration {
    var configuration = ServerConfiguration()
    configuration.httpHandler = mirror
    configuration.httpBodyBytesMax = 1000
    return configuration
  }

  private static func head(_ method: String, _ more: [HeaderField] = []) -> [HeaderField] {
    [
      HeaderField(":method", method), HeaderField(":scheme", "http"),
      HeaderField(":path", "/a?b=c"), HeaderField(":authority", "a"),
    ] + more
  }

  private struct Answer: Equatable {
    var status: String?
    var length: String?
    var body = ""
    var ends: String?
  }

  private func answer(_ events: [HTTP2Event]) -> Answer {
    var answer = Answer()
    for event in events {
      switch event {
      case .head(_, let fields, _, _):
        answer.status = fields.first(":status")
        answer.length = fields.first("content-length")
      case .data(_, let bytes): answer.body += String(decoding: bytes, as: UTF8.self)
      case .closed(_, let code): answer.ends = "\(code)"
      default: break
      }
    }
    return answer
  }

  @Test func `GET and POST get what the handler answers`() async throws {
    try await withServer(EchoService(), Self.configuration) { _, port in
      var events = try await RawPeer.exchange(port: port, Self.head("GET"))
      #expect(
        answer(events)
          == Answer(status: "200", length: "13", body: "GET /a?b=c - ", ends: "NO_ERROR")
      )
      let json = [HeaderField("content-type", "application/json")]
      events = try await RawPeer.exchange(port: port, Self.head("POST", json), Array("{}".utf8))
      #expect(answer(events).body == "POST /a?b=c application/json {}")
    }
  }

  @Test func `the handler learns which host was asked for`() async throws {
    var configuration = ServerConfiguration()
    configuration.httpHandler = { PlainHTTPResponse(status: 200, text: $0.authority) }
    try await withServer(EchoService(), configuration) { _, port in
      var events = try await RawPeer.exchange(port: port, Self.head("GET"))
      #expect(answer(events).body == "a")
      let fields = Self.head("GET", [HeaderField("host", "b")]).filter { $0.name != ":authority" }
      events = try await RawPeer.exchange(port: port, fields)
      #expect(answer(events).body == "b")
    }
  }

  @Test func `heads of requests count for what the connection may hold`() async throws {
    var configuration = Self.configuration
    configuration.maxBufferedBytes = 128 * 1024
    configuration.maxMessageBytes = 64 * 1024
    try await withServer(EchoService(), configuration) { _, port in
      let large = HeaderField("large", String(repeating: "x", count: 50_000))
      let events = try await RawPeer.exchange(
        port: port,
        requests: 5,
        answered: 2,
        Self.head("POST", [large]),
        end: false
      )
      #expect(answer(events).status == "503")
    }
  }

  @Test func `HEAD gets the head of the answer alone`() async throws {
    try await withServer(EchoService(), Self.configuration) { _, port in
      let events = try await RawPeer.exchange(port: port, Self.head("HEAD"))
      #expect(answer(events) == Answer(status: "200", length: "14", ends: "NO_ERROR"))
    }
  }

  @Test func `a body above the bound is 413, one that is not complete in time 408`() async throws {
    var configuration = Self.configuration
    try await withServer(EchoService(), configuration) { _, port in
      let body = [UInt8](repeating: 65, count: 1001)
      let events = try await RawPeer.exchange(port: port, Self.head("POST"), body, end: false)
      #expect(answer(events) == Answer(status: "413", length: "0", ends: "NO_ERROR"))
    }
    configuration.requestTimeout = .milliseconds(50)
    try await withServer(EchoService(), configuration) { server, port in
      let events = try await RawPeer.exchange(port: port, Self.head("POST"), [65], end: false)
      #expect(answer(events) == Answer(status: "408", length: "0", ends: "NO_ERROR"))
      #expect(server.core.requestBytes.usedBytes == 0)
    }
  }

  @Test func `gRPC goes on beside it, and without a handler all stays 405 or 415`() async throws {
    try await withLoopback(server: Self.configuration) { channel, _ in
      let answer: Bytes = try await channel.unary(EchoMethods.unary, Bytes("x"))
      #expect(answer == "x")
    }
    try await withServer { _, port in
      let events = try await RawPeer.exchange(port: port, Self.head("GET"))
      #expect(answer(events).status == "405")
    }
  }

  @Test func `a client that is gone cancels the handler, and so does the server's end`()
    async throws
  {
    var configuration = ServerConfiguration()
    let (started, cancelled) = (Counter(), Counter())
    configuration.httpHandler = { _ in
      started.increment()
      await waitForCancellation(Signal())
      cancelled.increment()
      return PlainHTTPResponse(status: 200)
    }
    try await withServer(EchoService(), configuration) { server, port in
      let (peer, channel) = try await RawPeer.connect(port: port)
      await peer.perform(
        { _ = $0.submitRequest(Self.head("GET"), endStream: true) },
        on: channel
      )
      _ = await started.wait(above: 0)
      try await channel.close()
      _ = await cancelled.wait(above: 0)
      async let events = RawPeer.exchange(port: port, Self.head("GET"))
      _ = await started.wait(above: 1)
      await server.shutdown(grace: .milliseconds(10))
      #expect(answer(try await events).status == "503")
      #expect(cancelled.value == 2)
    }
  }
}
