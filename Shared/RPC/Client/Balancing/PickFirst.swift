/// All calls to the first endpoint that can be connected (gRFC A62, with A61's "happy eyeballs").
///
/// Endpoints are tried in order: the next one begins when the last has failed or has not come about
/// within a quarter of a second; the first connection that is ready counts and the others end. When
/// it is lost, the search begins anew. Outlier detection does not apply: there is nowhere else to go.
struct PickFirst: BalancingPolicy {
  private let shuffles: Bool
  /// The ids in the order of trial.
  private var order: [Int] = []
  /// How many of them are being tried.
  private var tried = 0
  private var selected: Int?
  /// Those that failed since one was last selected.
  private var failed: Set<Int> = []

  init(shuffles: Bool) {
    self.shuffles = shuffles
  }

  var closesUnwanted: Bool { true }

  mutating func updated(_ table: EndpointTable, _ random: inout some RandomNumberGenerator) {
    order = shuffles ? table.entries.map(\.id).shuffled(using: &random) : Self.interleave(table)
    if let selected {
      if table[id: selected]?.state == .ready { return }
      forgetFailures(table)
    }
    selected = order.first { table[id: $0]?.state == .ready }
    failed.formIntersection(order)
    if selected == nil { search(table) }
  }

  mutating func changed(_ id: Int, _ table: EndpointTable) {
    guard let entry = table[id: id] else { return }
    if let selected {
      guard selected == id, entry.state != .ready else { return }
      self.selected = nil
      forgetFailures(table)
      return search(table)
    }
    switch entry.state {
    case .ready: selected = id
    case .transientFailure:
      failed.insert(id)
      moveOn(table)
    default: break
    }
  }

  mutating func timePassed(_ table: EndpointTable) {
    guard selected == nil else { return }
    tried = min(tried + 1, order.count)
    moveOn(table)
  }

  /// A new pass begins: what failed in an earlier one may have recovered since.
  private mutating func forgetFailures(_ table: EndpointTable) {
    failed = Set(order.filter { table[id: $0]?.state == .transientFailure })
  }

  private mutating func search(_ table: EndpointTable) {
    tried = min(1, order.count)
    moveOn(table)
  }

  /// Lets further endpoints begin while all that were tried have failed.
  private mutating func moveOn(_ table: EndpointTable) {
    while tried < order.count, !isSearching(table) { tried += 1 }
  }

  private func isSearching(_ table: EndpointTable) -> Bool {
    order.prefix(tried).contains {
      let state = table[id: $0]?.state
      return state == .connecting || state == .idle
    }
  }

  func wants(_ entry: EndpointTable.Entry) -> Bool {
    if let selected { return entry.id == selected }
    return order.prefix(tried).contains(entry.id)
  }

  func awaitsTime(_ table: EndpointTable) -> Bool { selected == nil && tried < order.count }

  mutating func pick(
    hash: UInt64?,
    _ table: EndpointTable,
    _ random: inout some RandomNumberGenerator
  ) -> Pick {
    if let selected { return .endpoint(selected) }
    // Once all have failed calls fail until one is ready ("sticky transient failure").
    return order.contains { !failed.contains($0) } ? .wait : .fail
  }

  /// Addresses of the two families in turn, so that a family without a route costs one delay
  /// (RFC 8305, 4).
  private static func interleave(_ table: EndpointTable) -> [Int] {
    func isSix(_ entry: EndpointTable.Entry) -> Bool { entry.endpoint.host.contains(":") }
    guard let first = table.entries.first.map(isSix) else { return [] }
    let leading = table.entries.filter { isSix($0) == first }.map(\.id)
    let following = table.entries.filter { isSix($0) != first }.map(\.id)
    var order: [Int] = []
    for index in 0..<max(leading.count, following.count) {
      if index < leading.count { order.append(leading[index]) }
      if index < following.count { order.append(following[index]) }
    }
    return order
  }
}
