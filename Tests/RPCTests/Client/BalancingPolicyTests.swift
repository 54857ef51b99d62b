import Testing

@testable import RPC

/// Which endpoint the policies pick, without connections.
struct BalancingPolicyTests {
  /// A policy with its table, as a channel drives it.
  private struct Driver {
    var table = EndpointTable()
    var policy: any BalancingPolicy
    var random: SeededGenerator

    init(_ balancing: LoadBalancing, _ count: Int, seed: UInt64 = 1) {
      policy = balancing.makePolicy()
      random = SeededGenerator(seed: seed)
      update((0..<count).map { Endpoint(host: "10.0.0.\($0)", port: 80) })
    }

    mutating func update(_ endpoints: [Endpoint]) {
      _ = table.update(endpoints)
      policy.updated(table, &random)
    }

    mutating func set(_ id: Int, _ state: ConnectivityState) {
      table.set(id, state)
      policy.changed(id, table)
    }

    mutating func setAll(_ state: ConnectivityState) {
      for entry in table.entries { set(entry.id, state) }
    }

    mutating func pick(_ hash: UInt64? = nil) -> Pick {
      policy.pick(hash: hash, table, &random)
    }

    var wanted: [Int] { table.entries.filter(policy.wants).map(\.id) }
  }

  // MARK: pick_first

  @Test func `pick_first stays with the first that is ready`() {
    var driver = Driver(.pickFirst(), 3)
    #expect(driver.wanted == [0])
    #expect(driver.pick() == .wait)
    driver.set(0, .connecting)
    #expect(driver.pick() == .wait)
    driver.set(0, .transientFailure)
    #expect(driver.wanted == [0, 1])
    driver.set(1, .ready)
    #expect(driver.pick() == .endpoint(1))
    #expect(driver.wanted == [1])
    driver.set(0, .idle)
    #expect(driver.pick() == .endpoint(1))
  }

  @Test func `pick_first begins the next when the first takes its time`() {
    var driver = Driver(.pickFirst(), 3)
    driver.set(0, .connecting)
    #expect(driver.policy.awaitsTime(driver.table))
    driver.policy.timePassed(driver.table)
    #expect(driver.wanted == [0, 1])
    driver.policy.timePassed(driver.table)
    #expect(driver.wanted == [0, 1, 2])
    #expect(!driver.policy.awaitsTime(driver.table))
    driver.set(0, .ready)
    #expect(driver.wanted == [0])
  }

  @Test func `pick_first fails calls once all have failed, and recovers with any`() {
    var driver = Driver(.pickFirst(), 3)
    for id in 0..<3 {
      driver.set(id, .connecting)
      driver.set(id, .transientFailure)
    }
    #expect(driver.pick() == .fail)
    driver.set(2, .idle)
    #expect(driver.pick() == .fail)
    driver.set(2, .connecting)
    #expect(driver.pick() == .fail)
    driver.set(2, .ready)
    #expect(driver.pick() == .endpoint(2))
  }

  @Test func `pick_first waits for endpoints that are new or were not tried yet`() {
    var driver = Driver(.pickFirst(), 2)
    driver.set(0, .transientFailure)
    #expect(driver.pick() == .wait)
    driver.set(1, .transientFailure)
    #expect(driver.pick() == .fail)
    driver.update([Endpoint(host: "10.0.0.0", port: 80), Endpoint(host: "10.0.0.9", port: 80)])
    #expect(driver.pick() == .wait)
    driver.set(2, .transientFailure)
    #expect(driver.pick() == .fail)
  }

  @Test func `pick_first tries those again that failed before its last connection`() {
    var driver = Driver(.pickFirst(), 2)
    for id in 0..<2 { driver.set(id, .transientFailure) }
    driver.set(0, .connecting)
    driver.set(0, .ready)
    driver.set(1, .idle)
    #expect(driver.pick() == .endpoint(0))
    driver.set(0, .idle)
    #expect(driver.pick() == .wait)
    driver.set(0, .transientFailure)
    #expect(driver.wanted == [0, 1])
    #expect(driver.pick() == .wait)
    driver.set(1, .transientFailure)
    #expect(driver.pick() == .fail)
  }

  @Test func `pick_first searches anew when its connection is lost`() {
    var driver = Driver(.pickFirst(), 2)
    driver.set(0, .transientFailure)
    driver.set(1, .ready)
    driver.set(0, .idle)
    driver.set(1, .idle)
    #expect(driver.wanted == [0])
    #expect(driver.pick() == .wait)
  }

  @Test func `pick_first keeps its connection when the list changes around it`() {
    var driver = Driver(.pickFirst(), 2)
    driver.set(0, .ready)
    driver.update([Endpoint(host: "10.0.0.9", port: 80), Endpoint(host: "10.0.0.0", port: 80)])
    #expect(driver.pick() == .endpoint(0))
    driver.update([Endpoint(host: "10.0.0.9", port: 80)])
    #expect(driver.pick() == .wait)
    #expect(driver.wanted == [2])
  }

  @Test func `pick_first takes the families of addresses in turn`() {
    var driver = Driver(.pickFirst(), 0)
    driver.update(["::1", "::2", "1.1.1.1", "1.1.1.2"].map { Endpoint(host: $0, port: 1) })
    var order: [[Int]] = [driver.wanted]
    for _ in 0..<3 {
      driver.policy.timePassed(driver.table)
      order.append(driver.wanted)
    }
    #expect(order == [[0], [0, 2], [0, 1, 2], [0, 1, 2, 3]])
  }

  // MARK: round_robin

  @Test(arguments: 1..<20 as Range<UInt64>)
  func `round_robin gives each the same`(seed: UInt64) {
    let count = Int(seed % 7) + 1
    var driver = Driver(.roundRobin, count, seed: seed)
    #expect(driver.wanted.count == count)
    driver.setAll(.ready)
    var picks = [Int](repeating: 0, count: count)
    for _ in 0..<(count * 10) {
      if case .endpoint(let id) = driver.pick() { picks[id] += 1 }
    }
    #expect(picks.allSatisfy { $0 == 10 })
  }

  @Test func `round_robin fails calls while all have failed and none is ready again`() {
    var driver = Driver(.roundRobin, 2)
    driver.setAll(.connecting)
    #expect(driver.pick() == .wait)
    driver.setAll(.transientFailure)
    #expect(driver.pick() == .fail)
    driver.setAll(.connecting)
    #expect(driver.pick() == .fail)
    driver.set(1, .ready)
    #expect(driver.pick() == .endpoint(1))
  }

  // MARK: least_request

  @Test(arguments: 1..<20 as Range<UInt64>)
  func `least_request prefers the less loaded`(seed: UInt64) {
    var driver = Driver(.leastRequest(), 10, seed: seed)
    driver.setAll(.ready)
    // Calls that never end: the choice of two keeps the loads close together.
    for _ in 0..<1000 {
      if case .endpoint(let id) = driver.pick() { driver.table.add(1, outstandingOf: id) }
    }
    let loads = driver.table.entries.map(\.outstanding)
    #expect(loads.reduce(0, +) == 1000)
    #expect((loads.max() ?? 0) - (loads.min() ?? 0) <= 12)
  }

  // MARK: ring_hash

  @Test(arguments: [
    ("", 0xef46_db37_51d8_e999 as UInt64), ("a", 0xd24e_c4f1_a98c_6e5b),
    ("abc", 0x44bc_2cf5_ad77_0999), ("xxhash", 0x32dd_3895_2c4b_c720),
    ("Nobody inspects the spammish repetition", 0xfbce_a83c_8a37_8bf1),
  ])
  func `hashes are those of xxHash`(text: String, hash: UInt64) {
    #expect(XXHash64.hash(Array(text.utf8)) == hash)
  }

  @Test func `a ring is within its bounds and shares by weight`() {
    var table = EndpointTable()
    let hosts = ["a", "b", "b", "c", "c", "c", "c"]
    _ = table.update(hosts.map { Endpoint(host: $0, port: 1) })
    #expect(table.entries.map(\.weight) == [1, 2, 4])
    let ring = HashRing(table.entries, minSize: 1024, maxSize: 4096)
    #expect((1024...4096).contains(ring.entries.count))
    let counts = table.entries.map { entry in ring.entries.count { $0.id == entry.id } }
    #expect(abs(counts[1] - 2 * counts[0]) <= 2 && abs(counts[2] - 4 * counts[0]) <= 4)
    #expect(HashRing(table.entries, minSize: 10_000, maxSize: 100).entries.count == 100)
    #expect(HashRing([], minSize: 1, maxSize: 1).entries.isEmpty)
    #expect(zip(ring.entries, ring.entries.dropFirst()).allSatisfy { $0.hash <= $1.hash })
    for index in [0, 1, ring.entries.count - 1] {
      #expect(ring.index(of: ring.entries[index].hash) == index)
    }
    #expect(ring.index(of: .max) == 0)
  }

  @Test func `the loss of an endpoint moves the keys of that endpoint alone`() {
    var driver = Driver(.ringHash(), 5)
    driver.setAll(.ready)
    var random = SeededGenerator(seed: 7)
    let hashes = (0..<2000).map { _ in random.next() }
    let before = hashes.map { driver.pick($0) }
    #expect(Set(before).count == 5)
    #expect(hashes.map { driver.pick($0) } == before)
    driver.set(2, .transientFailure)
    let after = hashes.map { driver.pick($0) }
    for (old, new) in zip(before, after) {
      if old == .endpoint(2) { #expect(new != .endpoint(2)) } else { #expect(new == old) }
    }
  }

  @Test func `ring_hash connects what calls ask for`() {
    var driver = Driver(.ringHash(), 5)
    #expect(driver.wanted.isEmpty)
    #expect(driver.pick(0) == .wait)
    #expect(driver.wanted.count == 1)
    let first = driver.wanted[0]
    driver.set(first, .connecting)
    #expect(driver.pick(0) == .wait)
    driver.set(first, .transientFailure)
    // Another one begins even without a call.
    #expect(driver.wanted.count == 2)
    #expect(driver.pick(0) == .wait)
    driver.setAll(.transientFailure)
    #expect(driver.pick(0) == .fail)
    #expect(driver.wanted.count == 5)
  }

  @Test func `a call without a hash uses what is ready`() {
    var driver = Driver(.ringHash(), 5)
    driver.set(3, .ready)
    for _ in 0..<50 { #expect(driver.pick() == .endpoint(3)) }
    // While one more is on the way, no other is asked for.
    #expect(driver.wanted.count <= 50)
  }

  // MARK: All

  @Test(arguments: 0..<40 as Range<UInt64>)
  func `whatever happens, a call goes to an endpoint that takes it`(seed: UInt64) {
    let kinds: [LoadBalancing] = [
      .pickFirst(), .pickFirst(shuffle: true), .roundRobin, .leastRequest(), .ringHash(),
    ]
    let states: [ConnectivityState] = [.idle, .connecting, .ready, .transientFailure]
    let ignoresEjection = seed % 5 < 2
    var driver = Driver(kinds[Int(seed % 5)], 4, seed: seed)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<2000 {
      let ids = driver.table.entries.map(\.id)
      let id = ids.randomElement(using: &random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0:
        let hosts = (0..<8).filter { _ in Bool.random(using: &random) }
        driver.update(hosts.map { Endpoint(host: "10.0.0.\($0)", port: 80) })
      case 1:
        guard let id else { continue }
        driver.table.set(id, ejected: Bool.random(using: &random))
        driver.policy.changed(id, driver.table)
      case 2: driver.policy.timePassed(driver.table)
      case 3, 4, 5:
        guard let id, let state = states.randomElement(using: &random) else { continue }
        driver.set(id, state)
      default:
        let pick = driver.pick(Bool.random(using: &random) ? random.next() : nil)
        let usable = driver.table.entries.filter {
          ignoresEjection ? $0.state == .ready : $0.isUsable
        }
        switch pick {
        case .endpoint(let id): #expect(usable.contains { $0.id == id })
        case .fail: #expect(usable.isEmpty || ignoresEjection)
        case .wait: break
        }
      }
    }
  }
}
