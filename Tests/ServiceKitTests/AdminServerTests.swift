import NIOCore
import NIOPosix
import Testing

@testable import ServiceKit

/// Runs `body` with an admin endpoint on a free port, and ends it.
private func withAdmin(
  metrics: MetricsRegistry = MetricsRegistry(),
  health: HealthRegistry = HealthRegistry(),
  limits: AdminServer.Limits = AdminServer.Limits(),
  _ body: (Int) async throws -> Void
) async throws {
  let server = AdminServer(
    metrics: metrics,
    health: health,
    limits: limits,
    group: MultiThreadedEventLoopGroup.singleton
  )
  let port = try await server.start(host: "127.0.0.1", port: 0)
  do {
    try await body(port)
  } catch {
    await server.stop()
    throw error
  }
  await server.stop()
}

/// Sends one head, with `connection: close`, and returns the whole answer.
private func ask(_ port: Int, _ line: String, _ headers: String...) async throws -> String {
  let client = try await RawClient(port: port)
  let fields = (["host: x", "connection: close"] + headers).map { $0 + "\r\n" }.joined()
  try await client.send("\(line) HTTP/1.1\r\n\(fields)\r\n")
  return try await client.receivedToEnd()
}

private func body(_ answer: String) -> String {
  answer.range(of: "\r\n\r\n").map { String(answer[$0.upperBound...]) } ?? ""
}

extension String {
  fileprivate func range(of text: String) -> Range<String.Index>? { ranges(of: text).first }
}

@Suite(.timeLimit(.minutes(5))) struct AdminEndpoint {
  @Test func `readiness follows the process and lists failing checks`() async throws {
    let health = HealthRegistry()
    try await withAdmin(health: health) { port in
      health.setReadiness("model", failure: "loading\nweights")
      var answer = try await ask(port, "GET /readyz")
      #expect(answer.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
      #expect(
        body(answer)
          == "[-]phase failed: starting\n[-]model failed: loading\\nweights\nreadyz check failed\n"
      )
      health.setReadiness("model", failure: nil)
      health.markReady()
      answer = try await ask(port, "GET /readyz")
      #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
      #expect(body(answer) == "[+]phase ok\n[+]model ok\nreadyz check passed\n")
      health.markDraining()
      answer = try await ask(port, "GET /readyz?verbose")
      #expect(answer.hasPrefix("HTTP/1.1 503 "))
      #expect(body(answer).hasPrefix("[-]phase failed: draining\n"))
    }
  }

  @Test func `liveness holds while starting and fails with its checks`() async throws {
    let health = HealthRegistry()
    try await withAdmin(health: health) { port in
      #expect(body(try await ask(port, "GET /livez")) == "livez check passed\n")
      health.addLiveness("engine") { "no step for 30 s" }
      let answer = try await ask(port, "GET /livez")
      #expect(answer.hasPrefix("HTTP/1.1 503 "))
      #expect(body(answer) == "[-]engine failed: no step for 30 s\nlivez check failed\n")
    }
  }

  @Test func `metrics come in the text format`() async throws {
    let metrics = MetricsRegistry()
    metrics.counter("things", help: "Things.").add(7)
    try await withAdmin(metrics: metrics) { port in
      let answer = try await ask(port, "GET /metrics")
      #expect(answer.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"))
      #expect(
        body(answer) == "# HELP things_total Things.\n# TYPE things_total counter\nthings_total 7\n"
      )
      #expect(answer.contains("\r\ncontent-length: \(body(answer).utf8.count)\r\n"))
    }
  }

  @Test func `HEAD gets the head alone`() async throws {
    try await withAdmin { port in
      let answer = try await ask(port, "HEAD /livez")
      #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
      #expect(answer.contains("\r\ncontent-length: 19\r\n"))
      #expect(body(answer).isEmpty)
    }
  }

  @Test func `other paths and methods are refused`() async throws {
    try await withAdmin { port in
      for path in ["/", "/live", "/livez/", "/Metrics", "*", "/..//livez", "/%6divez"] {
        #expect(try await ask(port, "GET \(path)").hasPrefix("HTTP/1.1 404 "), "\(path)")
      }
      for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let answer = try await ask(port, "\(method) /metrics", "content-length: 0")
        #expect(answer.hasPrefix("HTTP/1.1 405 "), "\(method)")
        #expect(answer.contains("\r\nallow: GET, HEAD\r\n"))
      }
      let long = try await ask(port, "GET /livez?" + String(repeating: "a", count: 3000))
      #expect(long.hasPrefix("HTTP/1.1 414 "))
    }
  }

  @Test func `a connection is kept for several requests`() async throws {
    try await withAdmin { port in
      let client = try await RawClient(port: port)
      for count in 1...3 {
        try await client.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        let text = try await client.received {
          $0.ranges(of: "livez check passed\n").count == count
        }
        #expect(text.ranges(of: "HTTP/1.1 200 OK").count == count)
      }
      try await client.send("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
      #expect(try await client.receivedToEnd().ranges(of: "200 OK").count == 4)
    }
  }

  @Test func `HTTP 1 0 closes unless asked to keep`() async throws {
    try await withAdmin { port in
      let client = try await RawClient(port: port)
      try await client.send("GET /livez HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
      _ = try await client.received { $0.contains("livez check passed\n") }
      try await client.send("GET /livez HTTP/1.0\r\n\r\n")
      let text = try await client.receivedToEnd()
      #expect(text.ranges(of: "200 OK").count == 2)
      #expect(text.contains("\r\nconnection: keep-alive\r\n"))
    }
  }

  @Test func `pipelined requests are answered in order`() async throws {
    try await withAdmin { port in
      let client = try await RawClient(port: port)
      var text = ""
      for index in 0..<500 {
        text += "GET \(index % 2 == 0 ? "/livez" : "/nothing") HTTP/1.1\r\nhost: x\r\n\r\n"
      }
      try await client.send(text + "GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
      let answer = try await client.receivedToEnd()
      let statuses = answer.split(separator: "HTTP/1.1 ").map { $0.prefix(3) }
      #expect(statuses.count == 501)
      #expect(
        statuses.enumerated().allSatisfy { index, status in
          status == (index == 500 ? "503" : index % 2 == 0 ? "200" : "404")
        }
      )
    }
  }

  @Test func `a request's body is read and ignored`() async throws {
    try await withAdmin { port in
      let client = try await RawClient(port: port)
      try await client.send(
        "GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
          + "GET /livez HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
          + "3\r\nabc\r\n0\r\n\r\nGET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
      )
      let answer = try await client.receivedToEnd()
      #expect(answer.ranges(of: "HTTP/1.1 200").count == 2)
      #expect(answer.ranges(of: "HTTP/1.1 404").count == 1)
    }
  }
}

@Suite(.timeLimit(.minutes(5))) struct HostileAdminClients {
  @Test(arguments: [
    "\r\n\r\n\r\n\0\0\0", "GET\r\n\r\n", "GET /livez\r\n\r\n", "GET /livez HTTP/9.9\r\n\r\n",
    "GET /livez HTTP/1.1\r\nhost : x\r\n\r\n", "GET /livez HTTP/1.1\r\n: x\r\n\r\n",
    "GET /livez HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    "GET /livez HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    "POST /livez HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET /livez HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}",
  ])
  func `malformed heads get 400 or nothing, and the connection ends`(text: String) async throws {
    try await withAdmin { port in
      let client = try await RawClient(port: port)
      try await client.send(text)
      let answer = try await client.receivedToEnd()
      #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 400 "), "\(answer)")
      #expect(try await ask(port, "GET /livez").hasPrefix("HTTP/1.1 200 "))
    }
  }

  @Test(arguments: [
    "GET /" + String(repeating: "a", count: 100_000),
    "GET /livez HTTP/1.1\r\nx: " + String(repeating: "a", count: 100_000),
    "GET /livez HTTP/1.1\r\n" + String(repeating: "a: b\r\n", count: 20_000),
    "GET /livez HTTP/1.1\r\n" + String(repeating: "a", count: 100_000),
    String(repeating: "\r\n", count: 100_000),
    "POST /livez HTTP/1.1\r\ncontent-length: 100000\r\n\r\n"
      + String(repeating: "a", count: 90_000),
    "GET /livez HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
      + String(repeating: "1\r\na\r\n", count: 20_000),
  ])
  func `a request without end is cut off`(text: String) async throws {
    try await withAdmin { port in
      let client = try await RawClient(port: port)
      client.sendLater(text)
      let answer = try await client.receivedToEnd()
      #expect(
        answer.isEmpty || answer.hasPrefix("HTTP/1.1 431 ") || answer.hasPrefix("HTTP/1.1 400 ")
      )
    }
  }

  @Test func `a request that trickles in is cut off`() async throws {
    var limits = AdminServer.Limits()
    limits.requestTimeout = .milliseconds(50)
    try await withAdmin(limits: limits) { port in
      let silent = try await RawClient(port: port)
      let slow = try await RawClient(port: port)
      try? await slow.send("GET /livez HT")
      #expect(try await slow.receivedToEnd().isEmpty)
      #expect(try await silent.receivedToEnd().isEmpty)
    }
  }

  @Test func `an idle connection is closed`() async throws {
    var limits = AdminServer.Limits()
    limits.idleTimeout = .milliseconds(50)
    try await withAdmin(limits: limits) { port in
      let client = try await RawClient(port: port)
      try await client.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
      #expect(try await client.receivedToEnd().hasSuffix("livez check passed\n"))
    }
  }

  @Test func `a client that reads nothing is answered no further`() async throws {
    let metrics = MetricsRegistry()
    metrics.counter("big", help: String(repeating: "x", count: 4 << 20)).add()
    var limits = AdminServer.Limits()
    limits.responseTimeout = .milliseconds(50)
    limits.idleTimeout = .milliseconds(500)
    try await withAdmin(metrics: metrics, limits: limits) { port in
      let client = try await RawClient(port: port, readsNothing: true)
      client.sendLater(
        String(repeating: "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", count: 200)
      )
      // Another client is served meanwhile; once it is turned away for idling, the time of the
      // first one is over as well.
      let other = try await RawClient(port: port)
      try await other.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
      #expect(try await other.receivedToEnd().hasSuffix("livez check passed\n"))
      try? await client.startReading()
      let answer = try await client.receivedToEnd()
      #expect(answer.ranges(of: "HTTP/1.1 200 OK").count < 200)
    }
  }

  @Test func `connections beyond the bound are closed and make room again`() async throws {
    var limits = AdminServer.Limits()
    limits.connectionsMax = 3
    try await withAdmin(limits: limits) { port in
      var clients: [RawClient] = []
      for _ in 0..<3 {
        let client = try await RawClient(port: port)
        try await client.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        _ = try await client.received { $0.hasSuffix("passed\n") }
        clients.append(client)
      }
      let extra = try await RawClient(port: port)
      #expect(try await extra.receivedToEnd().isEmpty)
      try await clients[0].send("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
      _ = try await clients[0].receivedToEnd()
      #expect(try await ask(port, "GET /livez").hasPrefix("HTTP/1.1 200 "))
    }
  }

  @Test func `stopping closes open connections`() async throws {
    let server = AdminServer(
      metrics: MetricsRegistry(),
      health: HealthRegistry(),
      group: MultiThreadedEventLoopGroup.singleton
    )
    let port = try await server.start(host: "127.0.0.1", port: 0)
    let client = try await RawClient(port: port)
    try await client.send("GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
    _ = try await client.received { $0.hasSuffix("passed\n") }
    await server.stop()
    _ = try await client.receivedToEnd()
    await #expect(throws: (any Error).self) { _ = try await RawClient(port: port) }
  }
}
