import Logging
import NIOCore
import Synchronization
import Testing

@testable import RPC

/// Replicas that come, go, refuse and return, over loopback connections.
@Suite(.timeLimit(.minutes(5))) struct ReplicaSetTests {
  /// A server that says it serves for as long as it runs.
  private static func withReplica(
    port: Int = 0,
    _ body: (RPCServer, Endpoint) async throws -> Void
  ) async throws {
    var service = EchoService()
    service.expand = { _, _, responses in
      try await responses.write("serving")
      await waitForCancellation(Signal())
    }
    try await withServer(service, ServerConfiguration(port: port)) { server, port in
      try await body(server, Endpoint(host: "127.0.0.1", port: port))
    }
  }

  private static func withSet(
    _ sources: [EndpointSource],
    changes: Counter = Counter(),
    adjust: (inout ReplicaSetConfiguration) -> Void = { _ in },
    _ body: (ReplicaSet) async throws -> Void
  ) async throws {
    var configuration = ReplicaSetConfiguration(sources)
    configuration.logger.logLevel = .critical
    adjust(&configuration)
    let onChange: @Sendable (Int, Int) -> Void = { _, _ in changes.increment() }
    let set = ReplicaSet(configuration, group: testGroup, onChange: onChange) {
      channel,
      report throws(RPCError) in
      let statuses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("watch"),
        options: CallOptions(readyTimeout: .seconds(60))
      )
      for try await status in statuses { report(status == "serving") }
    }
    let running = Task { await set.run() }
    do {
      try await body(set)
    } catch {
      running.cancel()
      await set.close()
      throw error
    }
    running.cancel()
    await set.close()
    await running.value
  }

  /// Waits until `condition` holds, which it is asked after each change of what is ready.
  private func until(_ changes: Counter, _ condition: () -> Bool) async throws {
    while true {
      let seen = changes.value
      if condition() { return }
      _ = await changes.wait(above: seen)
      try Task.checkCancellation()
    }
  }

  @Test func `a call gets the idle replica, and a release counts once`() async throws {
    let changes = Counter()
    try await Self.withReplica { _, first in
      try await Self.withReplica { _, second in
        try await Self.withSet([.endpoint(first), .endpoint(second)], changes: changes) { set in
          try await until(changes) { set.replicas.count { $0.state == .ready } == 2 }
          let one = try await set.lease(waitingAtMost: .seconds(30))
          let other = try await set.lease(waitingAtMost: .seconds(30))
          #expect(Set([one.endpoint, other.endpoint]) == [first, second])
          #expect(set.replicas.map(\.outstanding) == [1, 1])
          let echo: Bytes = try await one.channel.unary(EchoMethods.unary, Bytes("hello"))
          #expect(echo == "hello")
          for _ in 0..<3 { one.release(.answered) }
          #expect(set.replicas.map(\.outstanding).reduce(0, +) == 1)
          let again = try await set.lease(waitingAtMost: .seconds(30))
          #expect(again.endpoint == one.endpoint)
          do { _ = set.leaseAll() }
          #expect(set.replicas.map(\.outstanding) == [1, 1])
          withExtendedLifetime((other, again)) {}
        }
      }
    }
  }

  @Test func `a replica that refused a call is lent again after a moment`() async throws {
    try await Self.withReplica { _, endpoint in
      try await Self.withSet([.endpoint(endpoint)]) { set in
        var excluded = ReplicaExclusions()
        for _ in 0..<3 {
          let lease = try await set.lease(excluding: excluded, waitingAtMost: .seconds(30))
          lease.release(.unavailable)
          excluded.insert(lease)
          // A call that it did not refuse does not wait.
          #expect(set.leaseNow() != nil)
        }
        let lease = try await set.lease(excluding: excluded, waitingAtMost: .seconds(30))
        #expect(lease.endpoint == endpoint)
      }
    }
  }

  @Test func `a call waits for a replica that is started anew, and the source is asked at once`()
    async throws
  {
    let (lookups, changes) = (Counter(), Counter())
    try await Self.withReplica { server, endpoint in
      let named = Endpoint(host: "replicas.test", port: endpoint.port)
      try await Self.withSet(
        [.endpoint(named)],
        changes: changes,
        adjust: { configuration in
          configuration.resolveInterval = .seconds(3600)
          configuration.lookup.addresses = { _ throws(RPCError) in
            lookups.increment()
            return ["127.0.0.1"]
          }
        }
      ) { set in
        let first = try await set.lease(waitingAtMost: .seconds(30))
        #expect(first.endpoint == endpoint && lookups.value == 1)
        await server.shutdown(grace: .zero)
        try await until(changes) { set.replicas.allSatisfy { $0.state != .ready } }
        _ = await lookups.wait(above: 1)
        let waiting = Task { try await set.lease(waitingAtMost: .seconds(50)) }
        try await Self.withReplica(port: endpoint.port) { _, _ in
          let lease = try await waiting.value
          let echo: Bytes = try await lease.channel.unary(EchoMethods.unary, Bytes("again"))
          #expect(echo == "again")
        }
      }
    }
  }

  @Test func `a look that fails or finds nothing changes nothing, a new list is taken over`()
    async throws
  {
    let answers: [Result<[String], RPCError>] = [
      .failure(RPCError(.unavailable, "down")), .success(["127.0.0.1"]),
      .failure(RPCError(.unavailable, "down")), .success([]), .success(["127.0.0.2"]),
    ]
    let asked = Counter()
    try await Self.withSet(
      [.endpoint(Endpoint(host: "replicas.test", port: 1))],
      adjust: { configuration in
        configuration.resolveInterval = .milliseconds(1)
        configuration.resolveGap = .milliseconds(1)
        configuration.lookup.addresses = { _ throws(RPCError) in
          asked.increment()
          return try answers[min(asked.value, answers.count) - 1].get()
        }
      }
    ) { set in
      var seen: [[String]] = []
      while seen.last != ["127.0.0.2"] {
        let count = asked.value
        seen.append(set.replicas.map(\.endpoint.host))
        _ = await asked.wait(above: count)
        try Task.checkCancellation()
      }
      // Whatever of it was seen: the list was never empty again.
      #expect(seen.drop { $0.isEmpty }.allSatisfy { $0.count == 1 })
    }
  }

  @Test func `replicas that were left out are taken in as others go`() async throws {
    let changes = Counter()
    let most = ReplicaTable.replicasMax
    let list = Mutex(0)
    var configuration = ReplicaSetConfiguration([.file("list")])
    configuration.logger.logLevel = .critical
    configuration.fileInterval = .milliseconds(1)
    configuration.resolveGap = .milliseconds(1)
    configuration.lookup.text = { _ throws(RPCError) in
      let first = list.withLock { $0 } * most + 1
      return (first..<first + most).map { "127.0.0.1:\($0)" }.joined(separator: "\n")
    }
    configuration.channel.backoffInitial = .seconds(3600)
    configuration.channel.backoffMax = .seconds(3600)
    configuration.channel.connector = Connector { attempt in
      attempt.eventLoop.makeFailedFuture(ChannelError.eof)
    }
    let onChange: @Sendable (Int, Int) -> Void = { _, _ in changes.increment() }
    let set = ReplicaSet(configuration, group: testGroup, onChange: onChange) {
      _,
      report throws(RPCError) in
      report(true)
      await waitForCancellation(Signal())
    }
    let running = Task { await set.run() }
    var leases: [[ReplicaLease]] = []
    for number in 0..<2 {
      list.withLock { $0 = number }
      let first = number * most + 1
      try await until(changes) {
        set.replicas.count { $0.state == .ready && $0.endpoint.port >= first } == most
      }
      leases.append(set.leaseAll())
    }
    // As many as there may be finish their calls: there is no place for a third list.
    list.withLock { $0 = 2 }
    try await until(changes) { set.replicas.count { $0.state == .draining } == 2 * most }
    for lease in leases.removeFirst() { lease.release(.answered) }
    try await until(changes) { set.replicas.count { $0.state == .ready } == most }
    leases = []
    running.cancel()
    await set.close()
    await running.value
  }

  @Test func `waiting ends with its time, the deadline, the task and the set`() async throws {
    try await Self.withSet([.endpoint(Endpoint(host: "127.0.0.1", port: 1))]) { set in
      let late = try await failure { try await set.lease(waitingAtMost: .milliseconds(20)) }
      #expect(late.code == .unavailable)
      let due = try await failure {
        try await Deadline.$current.withValue(.after(.milliseconds(20))) {
          try await set.lease(waitingAtMost: .seconds(50))
        }
      }
      #expect(due.code == .unavailable)
      let cancelled = Task {
        try await failure { try await set.lease(waitingAtMost: .seconds(50)) }
      }
      cancelled.cancel()
      #expect(try await cancelled.value.code == .cancelled)
      let closed = Task { try await failure { try await set.lease(waitingAtMost: .seconds(50)) } }
      await set.close()
      #expect(try await closed.value.code == .cancelled)
    }
  }
}
