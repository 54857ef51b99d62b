/// The usable endpoints of a policy that connects to all.
private struct UsableEndpoints: Sendable {
  private(set) var ids: [Int] = []
  /// Whether one may soon be usable.
  private var hasPending = false

  mutating func update(_ table: EndpointTable) {
    ids = table.entries.filter(\.isUsable).map(\.id)
    hasPending = table.entries.contains(where: \.isPending)
  }

  /// What to say when none is usable.
  var none: Pick { hasPending ? .wait : .fail }
}

/// Calls to each endpoint in turn.
///
/// Fails calls only when every endpoint has failed to connect since it was last ready, and then
/// until one is ready again, as gRPC's round_robin does.
struct RoundRobin: BalancingPolicy {
  private var usable = UsableEndpoints()
  /// Counts picks; begins at random so that the first calls of many clients spread.
  private var next: Int?

  mutating func updated(_ table: EndpointTable, _ random: inout some RandomNumberGenerator) {
    if next == nil { next = Int.random(in: 0..<EndpointTable.endpointsMax, using: &random) }
    usable.update(table)
  }

  mutating func changed(_ id: Int, _ table: EndpointTable) {
    usable.update(table)
  }

  func wants(_ entry: EndpointTable.Entry) -> Bool { true }

  mutating func pick(
    hash: UInt64?,
    _ table: EndpointTable,
    _ random: inout some RandomNumberGenerator
  ) -> Pick {
    guard !usable.ids.isEmpty else { return usable.none }
    let index = (next ?? 0) % usable.ids.count
    next = index + 1
    return .endpoint(usable.ids[index])
  }
}

/// Calls to the endpoint with the fewest outstanding of some taken at random (gRFC A48).
struct LeastRequest: BalancingPolicy {
  private var usable = UsableEndpoints()
  private let choices: Int

  init(choices: Int) {
    self.choices = min(max(choices, 2), 10)
  }

  mutating func updated(_ table: EndpointTable, _ random: inout some RandomNumberGenerator) {
    usable.update(table)
  }

  mutating func changed(_ id: Int, _ table: EndpointTable) {
    usable.update(table)
  }

  func wants(_ entry: EndpointTable.Entry) -> Bool { true }

  mutating func pick(
    hash: UInt64?,
    _ table: EndpointTable,
    _ random: inout some RandomNumberGenerator
  ) -> Pick {
    guard let only = usable.ids.first else { return usable.none }
    guard usable.ids.count > 1 else { return .endpoint(only) }
    var best = only
    var least = Int.max
    for _ in 0..<choices {
      let id = usable.ids[Int.random(in: 0..<usable.ids.count, using: &random)]
      let outstanding = table[id: id]?.outstanding ?? .max
      if outstanding < least { (best, least) = (id, outstanding) }
    }
    return .endpoint(best)
  }
}
