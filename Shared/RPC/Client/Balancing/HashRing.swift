/// Where on a circle of 64-bit hashes the endpoints stand (gRFC A42; Envoy's Ketama).
///
/// Each endpoint has entries in proportion to its weight, at the hashes of `address_0`, `address_1`
/// and so on; a request goes to the first entry at or after its own hash.
struct HashRing: Sendable {
  struct Entry: Sendable, Hashable {
    let hash: UInt64
    let id: Int
  }

  /// In the order of their hashes.
  let entries: [Entry]

  /// Makes the ring: O(n log n) in its size, which is at most `maxSize` and one for each endpoint.
  init(_ endpoints: [EndpointTable.Entry], minSize: Int, maxSize: Int) {
    let maxSize = min(max(maxSize, 1), LoadBalancing.RingHash.sizeMax)
    let minSize = min(max(minSize, 1), maxSize)
    let total = endpoints.reduce(0) { $0 + $1.weight }
    guard let least = endpoints.map(\.weight).min(), total > 0 else {
      entries = []
      return
    }
    // The least weight has a whole number of entries, as long as the ring does not grow too large.
    let minShare = Double(least) / Double(total)
    let scale = min((minShare * Double(minSize)).rounded(.up) / minShare, Double(maxSize))
    var entries: [Entry] = []
    entries.reserveCapacity(Int(scale) + endpoints.count)
    var current = 0.0
    var target = 0.0
    for endpoint in endpoints {
      let name = Array("\(endpoint.endpoint)_".utf8)
      target += scale * Double(endpoint.weight) / Double(total)
      var index = 0
      while current < target {
        entries.append(Entry(hash: XXHash64.hash(name + Array("\(index)".utf8)), id: endpoint.id))
        index += 1
        current += 1
      }
    }
    self.entries = entries.sorted { ($0.hash, $0.id) < ($1.hash, $1.id) }
  }

  /// The index of the first entry at or after the hash.
  func index(of hash: UInt64) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].hash < hash { low = middle + 1 } else { high = middle }
    }
    return low == entries.count ? 0 : low
  }
}

/// Calls by the hash of a request on a ring of endpoints (gRFC A42, with A76's random hash).
///
/// Connects to an endpoint when a call first needs it. An endpoint that cannot be connected is
/// passed over for the next one on the ring.
struct RingHashPolicy: BalancingPolicy {
  private let configuration: LoadBalancing.RingHash
  private var ring = HashRing([], minSize: 1, maxSize: 1)
  /// Endpoints that calls have asked for.
  private var wanted: Set<Int> = []

  init(_ configuration: LoadBalancing.RingHash) {
    self.configuration = configuration
  }

  mutating func updated(_ table: EndpointTable, _ random: inout some RandomNumberGenerator) {
    ring = HashRing(
      table.entries,
      minSize: configuration.minRingSize,
      maxSize: configuration.maxRingSize
    )
    wanted.formIntersection(table.entries.map(\.id))
  }

  /// While one endpoint fails and none is on the way, another is connected: there may be no call to
  /// ask for it.
  mutating func changed(_ id: Int, _ table: EndpointTable) {
    guard table[id: id]?.state == .transientFailure,
      !table.entries.contains(where: { $0.isUsable || $0.state == .connecting }),
      let next = table.entries.first(where: { $0.state == .idle && !wanted.contains($0.id) })
    else { return }
    wanted.insert(next.id)
  }

  func wants(_ entry: EndpointTable.Entry) -> Bool { wanted.contains(entry.id) }

  mutating func pick(
    hash: UInt64?,
    _ table: EndpointTable,
    _ random: inout some RandomNumberGenerator
  ) -> Pick {
    guard !ring.entries.isEmpty else { return .fail }
    let start = ring.index(of: hash ?? random.next())
    let first = ring.entries[start].id
    if table[id: first]?.isUsable == true { return .endpoint(first) }
    return hash == nil ? pickAny(from: start, table) : pickNext(from: start, table)
  }

  /// The first endpoint on the ring that has not failed.
  private mutating func pickNext(from start: Int, _ table: EndpointTable) -> Pick {
    for entry in distinct(from: start, table) {
      wanted.insert(entry.id)
      if entry.isUsable { return .endpoint(entry.id) }
      if entry.isPending { return .wait }
    }
    return .fail
  }

  /// For a request without a hash any ready endpoint is as good; one more is connected, at most one
  /// at a time, so that calls spread (gRFC A76).
  private mutating func pickAny(from start: Int, _ table: EndpointTable) -> Pick {
    var isConnecting = table.entries.contains { $0.state == .connecting }
    var mayCome = false
    for entry in distinct(from: start, table) {
      if entry.isUsable { return .endpoint(entry.id) }
      if entry.state == .idle, !isConnecting {
        wanted.insert(entry.id)
        isConnecting = true
      }
      if entry.isPending { mayCome = true }
    }
    return mayCome ? .wait : .fail
  }

  /// The endpoints in the order in which the ring names them first.
  private func distinct(
    from start: Int,
    _ table: EndpointTable
  ) -> some Sequence<EndpointTable.Entry> {
    var seen: Set<Int> = []
    var offset = 0
    let entries = ring.entries
    let count = table.entries.count
    return AnyIterator {
      while offset < entries.count, seen.count < count {
        let id = entries[(start + offset) % entries.count].id
        offset += 1
        if seen.insert(id).inserted, let entry = table[id: id] { return entry }
      }
      return nil
    }
  }
}
