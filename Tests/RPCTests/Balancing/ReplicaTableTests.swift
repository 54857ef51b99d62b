import Testing

@testable import RPC

/// Which replica gets the next call.
@Suite struct ReplicaTableTests {
  @Test func `a replica takes no call before it says that it serves`() {
    let table = Table(1, 2, serving: false)
    #expect(table.pick() == nil)
    table.set(1, serving: true)
    #expect(table.pick()?.id == 1)
    #expect(table.state.readyCount == 1)
  }

  @Test func `the fewest outstanding win, equals come in turn`() {
    let table = Table(1, 2, 3)
    #expect((0..<6).map { _ in table.pick()?.id } == [0, 1, 2, 0, 1, 2])
    table.release(1)
    #expect(table.pick()?.id == 1)
    for id in [0, 1, 2, 0, 1, 2] as [ReplicaTable.ID] { table.release(id) }
    // Idle replicas come in turn as well.
    let idle = (0..<6).compactMap { _ -> ReplicaTable.ID? in
      let call = table.pick()
      if let call { table.release(call.id) }
      return call?.id
    }
    #expect(idle.sorted() == [0, 0, 1, 1, 2, 2])
  }

  @Test func `what is excluded is one epoch of a replica`() throws {
    let table = Table(1)
    let call = try #require(table.pick())
    #expect(table.pick(excluding: [call]) == nil)
    table.set(call.id, serving: false)
    #expect(table.pick() == nil)
    table.set(call.id, serving: true)
    #expect(table.pick(excluding: [call]) != nil)
  }

  @Test func `a suspended replica gets calls when there is no other`() throws {
    let table = Table(1, 2)
    let call = try #require(table.pick())
    #expect(table.suspend(call))
    #expect(!table.suspend(call))
    #expect(table.state.readyCount == 1)
    let other = try #require(table.pick())
    for _ in 0..<3 { #expect(table.pick()?.id == other.id) }
    #expect(table.suspend(other))
    #expect(table.pick(excluding: [other])?.id == call.id)
    table.state.resume(call)
    #expect(table.pick(excluding: [call])?.id == call.id)
    #expect(table.pick()?.id == call.id)
  }

  @Test func `a replica that is not listed any more goes with its last call`() throws {
    let table = Table(1, 2)
    let call = try #require(table.pick())
    #expect(table.update(2, 3).removed.isEmpty)
    #expect(table.state[call.id]?.state == .draining)
    #expect(table.pick()?.id == 1)
    #expect(table.release(call.id))
    #expect(table.state[call.id] == nil && table.state.replicas.count == 2)
    // It comes back as a new one.
    #expect(table.update(1, 2, 3).added.map(\.endpoint.port) == [1])
  }

  @Test func `the number of replicas is bounded`() {
    var table = ReplicaTable()
    let (added, _, excess) = table.update((1...1000).map { Endpoint(host: "10.0.0.1", port: $0) })
    #expect(added.count == ReplicaTable.replicasMax && excess == 1000 - ReplicaTable.replicasMax)
    // Those that only finish their calls do not keep others out.
    for replica in added {
      table.set(replica.id, serving: true)
      _ = table.pick(excluding: [])
    }
    let others = table.update((2001...2256).map { Endpoint(host: "10.0.0.1", port: $0) })
    #expect(others.added.count == ReplicaTable.replicasMax && others.excess == 0)
  }

  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func `random failures never lose, double or misplace a call`(seed: UInt64) {
    var simulation = Simulation(seed: seed)
    for _ in 0..<3000 { simulation.step() }
    #expect(simulation.problems.isEmpty, "seed \(seed)")
  }
}

/// A table whose changes may stand in an expectation.
private final class Table {
  var state = ReplicaTable()

  init(_ ports: Int..., serving: Bool = true) {
    for replica in update(ports).added { set(replica.id, serving: serving) }
  }

  typealias Update = (added: [ReplicaTable.Replica], removed: [ReplicaTable.ID], excess: Int)

  func update(_ ports: Int...) -> Update { update(ports) }

  func update(_ ports: [Int]) -> Update {
    state.update(ports.map { Endpoint(host: "10.0.0.1", port: $0) })
  }

  func set(_ id: ReplicaTable.ID, serving: Bool) { state.set(id, serving: serving) }

  func pick(excluding excluded: Set<ReplicaEpoch> = []) -> ReplicaEpoch? {
    state.pick(excluding: excluded)
  }

  func suspend(_ call: ReplicaEpoch) -> Bool { state.suspend(call) }

  @discardableResult
  func release(_ id: ReplicaTable.ID) -> Bool { state.release(id) }
}

/// Random events on a table, against what must hold of it.
private struct Simulation {
  private var table = ReplicaTable()
  private var random: SplitMix64
  private var calls: [ReplicaEpoch] = []
  private(set) var problems: [String] = []

  init(seed: UInt64) { random = SplitMix64(state: seed) }

  mutating func step() {
    switch Int.random(in: 0..<20, using: &random) {
    case 0:
      let ports = (1...6).filter { _ in Bool.random(using: &random) }
      let gone = table.update(ports.map { Endpoint(host: "10.0.0.1", port: $0) }).removed
      if calls.contains(where: { gone.contains($0.id) }) { problems.append("gone with a call") }
    case 1...3:
      if let replica = table.replicas.randomElement(using: &random) {
        table.set(replica.id, serving: Bool.random(using: &random))
      }
    case 4...5: if let call = calls.randomElement(using: &random) { _ = table.suspend(call) }
    case 6...8: if let call = calls.randomElement(using: &random) { table.resume(call) }
    case 9...14: pick()
    default:
      guard let index = calls.indices.randomElement(using: &random) else { break }
      _ = table.release(calls.remove(at: index).id)
    }
    table.checkInvariants()
    for replica in table.replicas
    where replica.outstanding != calls.count(where: { $0.id == replica.id }) {
      problems.append("\(replica.outstanding) outstanding calls are counted wrong")
    }
    if calls.contains(where: { table[$0.id] == nil }) { problems.append("a call has no replica") }
  }

  private mutating func pick() {
    let excluded = Set(calls.filter { _ in Int.random(in: 0..<4, using: &random) == 0 })
    let candidates = table.replicas.filter {
      $0.isListed && $0.isServing
        && !excluded.contains(ReplicaEpoch(id: $0.id, epoch: $0.epoch))
    }
    let ready = candidates.filter { !$0.isSuspended }
    let best = (ready.isEmpty ? candidates : ready).map(\.outstanding).min()
    let call = table.pick(excluding: excluded)
    guard let call else {
      if best != nil { problems.append("no pick among \(candidates.count)") }
      return
    }
    calls.append(call)
    let picked = (ready.isEmpty ? candidates : ready).first { $0.id == call.id }
    if picked?.outstanding != best { problems.append("not the least outstanding") }
  }
}

/// Vigna's SplitMix64: the same numbers for a seed everywhere.
private struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
