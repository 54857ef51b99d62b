import Foundation
import Testing

@testable import RPC

/// Calls over a network that fails, with time and chance from a seed.
///
/// `SIMULATION_SEED` runs one seed, with logs, `SIMULATION_SEEDS` that many; 300 are 10,800 calls.
@Suite struct SimulationTests {
  private static let calls = 36

  /// What a number of runs came to.
  private struct Summary: Sendable {
    var failures: [String] = []
    var calls = 0
    var statuses: [StatusCode: Int] = [:]
    var digests: [UInt64] = []
    var steps = 0
  }

  /// Runs simulations one after the other on a thread of their own, as an event loop has one.
  private static func run(_ seeds: [UInt64]) async -> Summary {
    await withCheckedContinuation { continuation in
      let thread = Thread {
        var summary = Summary()
        for seed in seeds {
          let simulation = SimulatedRun(seed: seed, calls: calls, logs: seeds.count == 1)
          simulation.run()
          summary.failures += simulation.failures.map { "seed \(seed): \($0)" }
          summary.calls += simulation.outcomes.count
          summary.steps += simulation.world.steps
          summary.digests.append(simulation.world.digest)
          for code in simulation.outcomes.values { summary.statuses[code, default: 0] += 1 }
          if summary.failures.count > 20 { break }
        }
        continuation.resume(returning: summary)
      }
      thread.stackSize = 8 << 20
      thread.start()
    }
  }

  @Test func `whatever the network does, every call ends once and nothing is left`() async {
    let environment = ProcessInfo.processInfo.environment
    let count = environment["SIMULATION_SEEDS"].flatMap(UInt64.init) ?? 30
    let seeds = environment["SIMULATION_SEED"].flatMap(UInt64.init).map { [$0] } ?? Array(1...count)
    let summary = await Self.run(seeds)
    let failed = summary.failures.first?.split(separator: ":").first?.split(separator: " ").last
    #expect(
      summary.failures.isEmpty,
      "to repeat: SIMULATION_SEED=\(failed ?? "") swift test --filter SimulationTests"
    )
    #expect(summary.calls == seeds.count * Self.calls || !summary.failures.isEmpty)
    if seeds.count >= 100 {
      for code: StatusCode in [.ok, .cancelled, .deadlineExceeded, .unavailable] {
        #expect(summary.statuses[code, default: 0] > 0, "no call ended with \(code)")
      }
    }
  }

  /// Where two runs of a seed, at once or one after the other, part.
  private static func parting(_ seed: UInt64) async -> String? {
    for _ in 0..<5 {
      async let first = journal(seed)
      let (other, one) = (await journal(seed), await first)
      guard let parting = zip(one, other).enumerated().first(where: { $1.0 != $1.1 }) else {
        continue
      }
      let (index, (mine, theirs)) = parting
      return "\(one[max(0, index - 6)..<index]), then \(mine) or \(theirs)"
    }
    return nil
  }

  private static func journal(_ seed: UInt64) async -> [String] {
    await withCheckedContinuation { continuation in
      Thread {
        let simulation = SimulatedRun(seed: seed, calls: calls)
        simulation.world.journal = []
        simulation.run()
        continuation.resume(returning: simulation.world.journal ?? [])
      }.start()
    }
  }

  @Test func `the same seed gives the same run`() async {
    let seeds = Array(UInt64(1)...12)
    async let first = Self.run(seeds)
    let second = await Self.run(seeds)
    let digests = await first.digests
    #expect(digests == second.digests)
    if let index = digests.indices.first(where: { digests[$0] != second.digests[$0] }) {
      Issue.record("seed \(seeds[index]): \(await Self.parting(seeds[index]) ?? "")")
    }
    #expect(Set(second.digests).count == seeds.count)
  }
}
