import Testing

@testable import Supervision

@Suite("What is to be done for the desired state")
struct ReconciliationTests {
  private func desired(inference count: Int) throws -> DesiredState {
    var desired = DesiredState()
    desired.set(try ReplicaCount(.inference, count))
    return desired
  }

  /// The processes of a suite with as many ready replicas, started in order.
  private func ready(inference count: Int) throws -> [SuiteProcess] {
    try desired(inference: count).instances.enumerated().map { index, instance in
      var process = SuiteProcess(instance, run: index + 1)
      process.state = .ready
      return process
    }
  }

  private func change(
    _ processes: inout [SuiteProcess],
    _ name: String,
    _ edit: (inout SuiteProcess) -> Void
  ) throws {
    let index = try #require(processes.firstIndex { "\($0.instance)" == name })
    edit(&processes[index])
  }

  private func replica(_ number: Int) -> ServiceInstance { ServiceInstance(.inference, number) }

  @Test("nothing, when all is as desired")
  func settled() throws {
    #expect(try desired(inference: 3).actions(on: ready(inference: 3)).isEmpty)
  }

  @Test("missing processes are started, in the order of the services and by number")
  func startsMissing() throws {
    let actions = try desired(inference: 3).actions(on: ready(inference: 1))
    #expect(actions == [.start(replica(2)), .start(replica(3))])
    let all = try desired(inference: 2).actions(on: [])
    #expect(all.first == .start(ServiceInstance(.data)))
    #expect(all.last == .start(ServiceInstance(.gateway)))
    #expect(all.count == 6)
  }

  @Test("surplus replicas are drained, the highest number first")
  func drainsSurplus() throws {
    let actions = try desired(inference: 1).actions(on: ready(inference: 3))
    #expect(actions == [.drain(replica(3)), .drain(replica(2))])
  }

  @Test("a replica that drains is let be, and started again only when it is gone")
  func waitsForDrains() throws {
    var processes = try ready(inference: 3)
    try change(&processes, "inference-3") { $0.state = .draining }
    #expect(try desired(inference: 3).actions(on: processes).isEmpty)
    #expect(try desired(inference: 2).actions(on: processes).isEmpty)
    processes.removeAll { $0.instance == replica(3) }
    #expect(try desired(inference: 3).actions(on: processes) == [.start(replica(3))])
    #expect(try desired(inference: 2).actions(on: processes).isEmpty)
  }

  @Test("surplus replicas stay while none of those that are to stay takes requests")
  func keepsTheLastReady() throws {
    var processes = try ready(inference: 3)
    try change(&processes, "inference-1") { $0.state = .restarting }
    try change(&processes, "inference-3") { $0.state = .starting }
    #expect(try desired(inference: 1).actions(on: processes) == [.drain(replica(3))])
    try change(&processes, "inference-1") { $0.state = .ready }
    #expect(
      try desired(inference: 1).actions(on: processes) == [.drain(replica(3)), .drain(replica(2))]
    )
  }

  @Test("a process is replaced once: its successor has a higher run")
  func replaces() throws {
    var processes = try ready(inference: 2)
    var desired = try desired(inference: 2)
    let run = try #require(processes.first { $0.instance == replica(2) }).run
    desired.replaced[replica(2)] = run
    #expect(desired.actions(on: processes) == [.drain(replica(2))])
    try change(&processes, "inference-2") { $0.state = .restarting }
    #expect(desired.actions(on: processes) == [.drain(replica(2))])
    try change(&processes, "inference-2") { $0.run = 99 }
    #expect(desired.actions(on: processes).isEmpty)
  }

  @Test("replicas are replaced one after another, and never the last that takes requests")
  func replacesOneByOne() throws {
    var processes = try ready(inference: 3)
    var desired = try desired(inference: 3)
    for number in 1...3 { desired.replaced[replica(number)] = 50 }
    #expect(desired.actions(on: processes) == [.drain(replica(3))])
    try change(&processes, "inference-3") { $0.state = .draining }
    #expect(desired.actions(on: processes).isEmpty)
    try change(&processes, "inference-3") { ($0.state, $0.run) = (.starting, 51) }
    #expect(desired.actions(on: processes).isEmpty)
    try change(&processes, "inference-3") { $0.state = .ready }
    #expect(desired.actions(on: processes) == [.drain(replica(2))])
    // A successor that does not start does not keep the rest from being replaced, but the last one stays.
    try change(&processes, "inference-2") {
      ($0.state, $0.run, $0.failedStarts) = (.restarting, 52, 1)
    }
    #expect(desired.actions(on: processes) == [.drain(replica(1))])
    try change(&processes, "inference-3") { $0.state = .restarting }
    #expect(desired.actions(on: processes).isEmpty)
  }

  @Test("another process stands in while the only replica is replaced, and then goes")
  func standsIn() throws {
    var processes = try ready(inference: 1)
    var desired = try desired(inference: 1)
    let run = try #require(processes.first { $0.instance == replica(1) }).run
    desired.replaced[replica(1)] = run
    #expect(desired.actions(on: processes) == [.start(replica(2))])
    processes.append(SuiteProcess(replica(2), run: 98))
    #expect(desired.actions(on: processes).isEmpty)
    try change(&processes, "inference-2") { $0.state = .ready }
    #expect(desired.actions(on: processes) == [.drain(replica(1))])
    try change(&processes, "inference-1") { $0.state = .draining }
    #expect(desired.actions(on: processes).isEmpty)
    processes.removeAll { $0.instance == replica(1) }
    #expect(desired.actions(on: processes) == [.start(replica(1))])
    processes.append(SuiteProcess(replica(1), run: 99))
    #expect(desired.actions(on: processes).isEmpty)
    try change(&processes, "inference-1") { $0.state = .ready }
    #expect(desired.actions(on: processes) == [.drain(replica(2))])
  }

  @Test("services that are one process are replaced as well")
  func replacesSingleServices() throws {
    var desired = DesiredState()
    desired.replaced[ServiceInstance(.tokenizer)] = 1_000
    let actions = desired.actions(on: try ready(inference: 1))
    #expect(actions == [.drain(ServiceInstance(.tokenizer))])
  }

  @Test("whatever happens meanwhile, the suite becomes what is desired", arguments: 0..<200)
  func converges(seed: UInt64) throws {
    var simulation = Simulation(seed: seed)
    for _ in 0..<60 { try simulation.step() }
    try simulation.settle()
  }
}

/// Processes that crash, get ready and end in a random order while what is desired changes.
private struct Simulation {
  private var random: SeededGenerator
  private var desired = DesiredState()
  private var processes: [SuiteProcess] = []
  private var runs = 0

  init(seed: UInt64) { random = SeededGenerator(state: seed) }

  mutating func step() throws {
    switch Int.random(in: 0..<8, using: &random) {
    case 0:
      desired.set(try ReplicaCount(.inference, Int.random(in: 1...5, using: &random)))
    case 1:
      if let process = processes.randomElement(using: &random) {
        desired.replaced[process.instance] = process.run
      }
    case 2: crash()
    default: advance()
    }
    reconcile()
  }

  /// Lets everything run its course; checks that it is then as desired.
  mutating func settle() throws {
    reconcile()
    // Each replica may drain and start once, one step each.
    for _ in 0..<100 {
      while let index = processes.firstIndex(where: { $0.state != .ready }) { advance(index) }
      reconcile()
    }
    #expect(Set(processes.map(\.instance)) == Set(desired.instances))
    #expect(processes.count == desired.instances.count)
    #expect(processes.allSatisfy { $0.run > desired.replaced[$0.instance, default: 0] })
  }

  private mutating func crash() {
    guard let index = processes.indices.randomElement(using: &random) else { return }
    if processes[index].state == .draining {
      processes.remove(at: index)
    } else {
      processes[index].state = .restarting
    }
  }

  private mutating func advance() {
    if let index = processes.indices.randomElement(using: &random) { advance(index) }
  }

  private mutating func advance(_ index: Int) {
    switch processes[index].state {
    case .starting: processes[index].state = .ready
    case .ready: break
    case .draining: processes.remove(at: index)
    case .restarting:
      runs += 1
      processes[index].run = runs
      processes[index].state = .starting
    }
  }

  private mutating func reconcile() {
    let before = takingRequests
    for action in desired.actions(on: processes) {
      switch action {
      case .start(let instance):
        #expect(!processes.contains { $0.instance == instance })
        runs += 1
        processes.append(SuiteProcess(instance, run: runs))
      case .drain(let instance):
        guard let index = processes.firstIndex(where: { $0.instance == instance }) else {
          Issue.record("\(instance) is not there")
          continue
        }
        #expect(processes[index].state != .draining)
        processes[index].state = .draining
      }
    }
    // Neither scaling nor replacing takes away the last replica that serves.
    #expect(before == 0 || takingRequests > 0)
  }

  private var takingRequests: Int {
    processes.count { $0.instance.service == .inference && $0.isReady }
  }
}

/// SplitMix64 of https://prng.di.unimi.it/splitmix64.c.
private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }
}
