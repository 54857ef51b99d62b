import Testing

@testable import ServiceKit

@Suite struct HealthOfAProcess {
  private let health = HealthRegistry()

  @Test func `it serves from ready until draining`() {
    #expect(health.status(of: "") == .notServing)
    health.markReady()
    #expect(health.status(of: "") == .serving)
    health.markDraining()
    #expect(health.status(of: "") == .notServing)
    health.markReady()
    #expect(health.phase == .draining)
  }

  @Test func `a failing check takes everything out`() {
    health.add(services: ["a.A"])
    health.markReady()
    health.setReadiness("model", failure: "loading")
    #expect(health.status(of: "") == .notServing)
    #expect(health.status(of: "a.A") == .notServing)
    #expect(
      health.readiness() == [
        .init(name: "phase", failure: nil), .init(name: "model", failure: "loading"),
      ]
    )
    health.setReadiness("model", failure: nil)
    #expect(health.status(of: "a.A") == .serving)
  }

  @Test func `one service can be out while the others serve`() {
    health.add(services: ["a.A", "b.B"])
    health.markReady()
    health.set("a.A", serving: false)
    health.add(services: ["a.A"])
    #expect(health.status(of: "a.A") == .notServing)
    #expect(health.status(of: "b.B") == .serving)
    #expect(health.status(of: "") == .serving)
    #expect(health.status(of: "c.C") == .unknown)
  }

  @Test func `a watcher sees the present status and every change`() async throws {
    let stream = try #require(health.watch("a.A"))
    var iterator = stream.makeAsyncIterator()
    #expect(await iterator.next() == .unknown)
    health.add(services: ["a.A"])
    #expect(await iterator.next() == .notServing)
    health.markReady()
    #expect(await iterator.next() == .serving)
    health.setReadiness("x", failure: nil)
    health.markDraining()
    #expect(await iterator.next() == .notServing)
    #expect(await iterator.next() == nil)
  }

  @Test func `a slow watcher gets the newest status only`() async throws {
    let stream = try #require(health.watch(""))
    health.markReady()
    health.setReadiness("x", failure: "y")
    health.setReadiness("x", failure: nil)
    var iterator = stream.makeAsyncIterator()
    #expect(await iterator.next() == .serving)
  }

  @Test func `a watcher who comes while draining is told and sent away`() async throws {
    health.markReady()
    health.markDraining()
    var iterator = try #require(health.watch("")).makeAsyncIterator()
    #expect(await iterator.next() == .notServing)
    #expect(await iterator.next() == nil)
  }

  @Test func `watchers are bounded and make room when they leave`() {
    var streams = (0..<HealthRegistry.watchersMax).compactMap { _ in health.watch("") }
    #expect(streams.count == HealthRegistry.watchersMax)
    #expect(health.watch("") == nil)
    streams.removeAll()
    #expect(health.watch("") != nil)
  }

  @Test func `liveness checks are asked anew each time`() {
    health.addLiveness("engine") { [health] in health.phase == .draining ? "stuck" : nil }
    #expect(health.liveness() == [.init(name: "engine", failure: nil)])
    health.markDraining()
    #expect(health.liveness() == [.init(name: "engine", failure: "stuck")])
  }
}
