import Foundation
import HTTPTypes
import HummingbirdTesting
import ModelAccess
import NIOCore
import RPC
import ServiceAPI
import ServiceKit
import Synchronization
import Testing

@testable import Gateway

@Suite("Replicas of the inference service", .timeLimit(.minutes(5)))
struct ReplicaTests {
  /// Says hello, but the first of all calls only says what `first` does.
  private static func firstDiffers(
    _ first: @escaping FakeSuite.Generate
  ) -> FakeSuite.Generate {
    let isFirst = Atomic(true)
    return { request, context, responses in
      if isFirst.exchange(false, ordering: .relaxed) {
        try await first(request, context, responses)
      } else {
        try await FakeSuite.sayHello(request, context, responses)
      }
    }
  }

  private static func replicas(
    _ count: Int,
    _ generate: @escaping FakeSuite.Generate
  ) async throws -> [FakeReplica] {
    var replicas: [FakeReplica] = []
    for _ in 0..<count { replicas.append(try await FakeReplica(generate: generate)) }
    return replicas
  }

  @Test("one that dies before its first token is made up for by another", arguments: [true, false])
  func dies(_ isStream: Bool) async throws {
    let generate = Self.firstDiffers { _, _, _ in try await Gate().wait() }
    let replicas = try await Self.replicas(2, generate)
    try await TestGateway.run(replicas: replicas) { gateway in
      async let response = gateway.post(chatPath, chatBody(#""stream": \#(isStream)"#))
      try await eventually { replicas.contains { $0.generated == 1 } }
      let asked = try #require(replicas.first { $0.generated == 1 })
      await asked.stop()
      #expect(try await response.status == .ok)
      #expect(try await response.text.contains(#"lo \"é\"\n"#))
      #expect(replicas.map(\.generated) == [1, 1])
      try await eventually { gateway.ready == 1 }
      #expect(
        gateway.metric(#"llmos_replica_retries_total{service="inference",reason="unavailable"}"#)
          == "1"
      )
    }
  }

  /// A streamed chat that a replica has begun to answer with the text `begun`.
  private static func openStream(_ gateway: TestGateway) async throws -> RawClient {
    let client = try await RawClient.connect(port: gateway.client.port)
    try await client.post(
      chatPath,
      chatBody(#""stream": true"#),
      headers: "connection: close\r\n"
    )
    try await client.receive("begun")
    return client
  }

  @Test("a stream whose replica dies ends with an error that says to retry")
  func diesInMidStream() async throws {
    let generate = Self.firstDiffers { _, _, responses in
      try await responses.write(.chunk("begun"))
      try await Gate().wait()
    }
    let replicas = try await Self.replicas(2, generate)
    try await TestGateway.run(replicas: replicas) { gateway in
      let client = try await Self.openStream(gateway)
      let asked = try #require(replicas.first { $0.generated == 1 })
      await asked.stop()
      let text = try await client.receiveAll()
      #expect(text.contains("Please retry the request") && text.contains("stream_interrupted"))
      #expect(!text.contains("[DONE]") && !text.contains("lo \\"))
      #expect(replicas.map(\.generated).reduce(0, +) == 1)
      #expect(try await gateway.post(chatPath, chatBody()).status == .ok)
    }
  }

  @Test("an answer that is sent as a whole is made again, however much of it was there")
  func diesInMidCollection() async throws {
    let begun = Gate()
    let generate = Self.firstDiffers { _, _, responses in
      try await responses.write(.chunk("begun"))
      begun.open()
      try await Gate().wait()
    }
    let replicas = try await Self.replicas(2, generate)
    try await TestGateway.run(replicas: replicas) { gateway in
      async let response = gateway.post(chatPath, chatBody())
      try await begun.wait()
      let asked = try #require(replicas.first { $0.generated == 1 })
      await asked.stop()
      #expect(try await response.status == .ok)
      #expect(try await !response.text.contains("begun"))
    }
  }

  @Test("a call that two replicas were lost with is not given to a third; refusals are no losses")
  func deadly() async throws {
    let replicas = try await Self.replicas(4) { try await FakeSuite.sayHello($0, $1, $2) }
    try await TestGateway.run(replicas: replicas) { gateway in
      var lost = RPCError(.unavailable, "connection lost")
      lost.isConnectionLoss = true
      let refused = RPCError(.unavailable, "the server is shutting down")
      for (errors, isMadeAgain) in [
        ([lost, lost], [true, false]), ([refused, lost, refused], [true, true, true]),
      ] {
        var attempts = ReplicaAttempts(gateway.server.backends.inference)
        for (error, expected) in zip(errors, isMadeAgain) {
          let lease = try await attempts.begin()
          #expect(attempts.failed(lease, error) == expected)
        }
      }
    }
  }

  @Test("when the gateway's time is over, what has begun ends with an error, the rest with 503")
  func gatewayEnds() async throws {
    let replicas = try await Self.replicas(1) { _, _, responses in
      try await responses.write(.chunk("begun"))
      try await Gate().wait()
    }
    try await TestGateway.run(replicas: replicas) { gateway in
      let clients = [
        try await RawClient.connect(port: gateway.client.port),
        try await RawClient.connect(port: gateway.client.port),
      ]
      for (client, isStream) in zip(clients, [true, false]) {
        let body = chatBody(#""stream": \#(isStream)"#)
        try await client.post(chatPath, body, headers: "connection: close\r\n")
      }
      try await clients[0].receive("begun")
      try await eventually { replicas[0].generated == 2 }
      gateway.server.endRequests()
      let stream = try await clients[0].receiveAll()
      #expect(stream.contains("stream_interrupted") && !stream.contains("[DONE]"))
      let whole = try await clients[1].receiveAll()
      #expect(whole.hasPrefix("HTTP/1.1 503") && whole.lowercased().contains("retry-after: 1"))
      #expect(whole.contains("Please retry"))
    }
  }

  @Test("one that drains finishes its stream, and new calls go elsewhere")
  func drains() async throws {
    let gate = Gate()
    let generate = Self.firstDiffers { request, _, responses in
      try await responses.write(.chunk("begun"))
      try await gate.wait()
      try await responses.write(.chunk("finished"))
      try await responses.write(.complete(prompt: 1, completion: 2))
    }
    let replicas = try await Self.replicas(2, generate)
    try await TestGateway.run(replicas: replicas) { gateway in
      let client = try await Self.openStream(gateway)
      let busy = try #require(replicas.first { $0.generated == 1 })
      async let end: Void = busy.drain()
      try await eventually { gateway.count(.draining) == 1 }
      #expect(gateway.metric(#"llmos_replicas{service="inference",state="draining"}"#) == "1")
      for _ in 0..<4 { #expect(try await gateway.post(chatPath, chatBody()).status == .ok) }
      #expect(busy.generated == 1)
      gate.open()
      let text = try await client.receiveAll()
      #expect(text.contains("finished") && text.contains("[DONE]"))
      await end
    }
  }

  @Test("with none left the answer is 503 with Retry-After, and the gateway is not ready")
  func allGone() async throws {
    let replicas = try await Self.replicas(2) { try await FakeSuite.sayHello($0, $1, $2) }
    try await TestGateway.run(
      replicas: replicas,
      adjust: { $0.readyTimeout = .milliseconds(50) }
    ) { gateway in
      await gateway.server.probe.round()
      #expect(try await gateway.get("/health").status == .ok)
      for replica in replicas { await replica.stop() }
      try await eventually { gateway.ready == 0 }
      for stream in [true, false] {
        let response = try await gateway.post(chatPath, chatBody(#""stream": \#(stream)"#))
        #expect(response.status == .serviceUnavailable)
        #expect(response.headers[.retryAfter] == "1")
        #expect(response.error("code") == "service_unavailable")
      }
      let ner = try await gateway.post(Route.ner.rawValue, #"{"model": "ner", "inputs": "a"}"#)
      #expect(ner.status == .serviceUnavailable)
      let health = try await gateway.get("/health")
      #expect(health.text.contains("inference: 0 of 2 replicas are ready"))
    }
  }

  @Test("a call waits for a replica that is started again") func restarted() async throws {
    let first = try await FakeReplica()
    try await TestGateway.run(replicas: [first]) { gateway in
      await first.stop()
      try await eventually { gateway.ready == 0 }
      async let response = gateway.post(chatPath, chatBody(#""stream": true"#))
      let second = try await FakeReplica(port: first.endpoint.port)
      #expect(try await response.events.last == "[DONE]")
      await second.stop()
    }
  }

  @Test("a replica that a file comes to name is used, one that it no longer names is not")
  func file() async throws {
    let replicas = try await Self.replicas(2) { try await FakeSuite.sayHello($0, $1, $2) }
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("replicas-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    @Sendable func write(_ replica: FakeReplica) throws {
      try Data("# replicas\n\(replica.endpoint)\n".utf8)
        .write(to: URL(fileURLWithPath: path), options: .atomic)
    }
    try write(replicas[0])
    try await TestGateway.run(adjust: { settings in
      settings.inference.sources = [.file(path)]
      settings.inference.fileInterval = .milliseconds(10)
      settings.readyTimeout = .seconds(60)
    }) { gateway in
      #expect(try await gateway.post(chatPath, chatBody()).status == .ok)
      #expect(replicas.map(\.generated) == [1, 0])
      try write(replicas[1])
      try await eventually {
        let now = gateway.server.backends.inference.replicas.replicas
        return now.map(\.endpoint) == [replicas[1].endpoint] && now[0].state == .ready
      }
      #expect(try await gateway.post(chatPath, chatBody()).status == .ok)
      #expect(replicas.map(\.generated) == [1, 1])
    }
    for replica in replicas { await replica.stop() }
  }

  @Test("the replica with the fewest calls outstanding gets the next") func least() async throws {
    let gate = Gate()
    let replicas = try await Self.replicas(3) { request, context, responses in
      try await gate.wait()
      try await FakeSuite.sayHello(request, context, responses)
    }
    try await TestGateway.run(replicas: replicas) { gateway in
      // One connection each: the test's client sends one request after the other.
      var clients: [RawClient] = []
      for sum in 1...9 {
        let client = try await RawClient.connect(port: gateway.client.port)
        try await client.post(chatPath, chatBody(), headers: "connection: close\r\n")
        clients.append(client)
        try await eventually { replicas.reduce(0) { $0 + $1.generated } == sum }
        if sum % 3 == 0 { #expect(replicas.allSatisfy { $0.generated == sum / 3 }) }
      }
      gate.open()
      for client in clients {
        #expect(try await client.receiveAll().hasPrefix("HTTP/1.1 200"))
      }
    }
  }

  @Test("one without room leaves the call to another; all of them make a 429", arguments: [1, 2])
  func exhausted(_ full: Int) async throws {
    var replicas: [FakeReplica] = []
    for index in 0..<2 {
      replicas.append(
        try await FakeReplica(generate: { request, context, responses in
          if index < full { throw RPCError(.resourceExhausted, "no room") }
          try await FakeSuite.sayHello(request, context, responses)
        })
      )
    }
    try await TestGateway.run(replicas: replicas) { [replicas] gateway in
      for stream in [true, false] {
        for _ in 0..<2 {
          let response = try await gateway.post(chatPath, chatBody(#""stream": \#(stream)"#))
          #expect(response.status == (full == 2 ? .tooManyRequests : .ok))
        }
      }
      // Refusing does not take a replica out.
      #expect(gateway.ready == 2 && replicas[0].generated > 0)
    }
  }

  @Test("entities and labels are asked of another replica as well") func unary() async throws {
    let replicas = try await Self.replicas(2) { try await FakeSuite.sayHello($0, $1, $2) }
    try await TestGateway.run(replicas: replicas) { gateway in
      for _ in 0..<4 {
        let ner = try await gateway.post(Route.ner.rawValue, #"{"model": "ner", "inputs": "Ada"}"#)
        #expect(ner.status == .ok)
      }
      #expect(replicas.allSatisfy { $0.suite.asked.classified.count == 2 })
      async let end: Void = replicas[0].drain()
      try await eventually { gateway.ready == 1 }
      let labels = try await gateway.post(
        Route.classify.rawValue,
        #"{"model": "intents", "inputs": "Ada"}"#
      )
      #expect(labels.status == .ok && replicas[1].suite.asked.scored.count == 1)
      await end
    }
  }

  @Test("all replicas load a version before it answers") func load() async throws {
    let replicas = try await Self.replicas(3) { try await FakeSuite.sayHello($0, $1, $2) }
    try await TestGateway.run(replicas: replicas) { gateway in
      #expect(try await gateway.post(chatPath, chatBody()).status == .ok)
      gateway.suite.versions.withLock { versions in
        for index in versions.indices where versions[index].name == "chat" {
          versions[index].aliases = versions[index].version == 2 ? ["production"] : []
        }
      }
      await gateway.server.catalog.follow(.changed([]))
      // Each round waits for an answer.
      while !replicas.contains(where: { $0.suite.asked.generated.last?.model == "chat@2" }) {
        let status = try await gateway.post(chatPath, chatBody()).status
        #expect(status == .ok)
      }
      #expect(replicas.allSatisfy { $0.suite.asked.loads == ["inference chat@2"] })
    }
  }

  @Test("a gateway that drains ends each connection with its answer") func drainingGateway()
    async throws
  {
    try await TestGateway.run { gateway in
      #expect(try await gateway.post(chatPath, chatBody()).headers[.connection] == nil)
      gateway.health.markDraining()
      let response = try await gateway.post(chatPath, chatBody())
      #expect(response.status == .ok && response.headers[.connection] == "close")
    }
  }
}
