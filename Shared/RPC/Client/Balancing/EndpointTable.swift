/// The endpoints of a channel as its balancing policy sees them.
///
/// A value without connections or clocks; a channel owns one and keeps the states current.
struct EndpointTable: Sendable {
  /// Most endpoints of a channel; what a resolver tells beyond them is left out.
  static let endpointsMax = 1000
  /// The largest weight of an endpoint.
  static let weightMax = 1000

  struct Entry: Sendable, Hashable {
    /// Names the endpoint as long as the channel lives.
    let id: Int
    let endpoint: Endpoint
    /// Its share of calls where the policy weighs: how often the list names it.
    var weight = 1
    var state = ConnectivityState.idle
    /// Whether it could not be connected since it was last ready.
    var hasFailed = false
    /// Whether outlier detection keeps calls from it.
    var isEjected = false
    /// Attempts that were given to it and are not over.
    var outstanding = 0

    /// Whether it takes calls.
    var isUsable: Bool { state == .ready && !isEjected }

    /// Whether it may soon take calls: it is being connected, for the first time since it was ready.
    var isPending: Bool {
      (state == .connecting || state == .idle) && !hasFailed && !isEjected
    }
  }

  /// In the resolver's order.
  private(set) var entries: [Entry] = []
  private var positions: [Int: Int] = [:]
  private var nextID = 0

  /// Takes a list over; an endpoint that it names several times has that weight.
  ///
  /// Returns what is new and what is gone.
  mutating func update(_ endpoints: [Endpoint]) -> (added: [Entry], removed: [Entry]) {
    var known: [Endpoint: Entry] = [:]
    for entry in entries { known[entry.endpoint] = entry }
    var list: [Entry] = []
    var listed: [Endpoint: Int] = [:]
    var added: [Entry] = []
    for endpoint in endpoints {
      if let position = listed[endpoint] {
        list[position].weight = min(list[position].weight + 1, Self.weightMax)
        continue
      }
      guard list.count < Self.endpointsMax else { continue }
      listed[endpoint] = list.count
      if var entry = known.removeValue(forKey: endpoint) {
        entry.weight = 1
        list.append(entry)
      } else {
        let entry = Entry(id: nextID, endpoint: endpoint)
        nextID += 1
        added.append(entry)
        list.append(entry)
      }
    }
    let removed = entries.filter { known[$0.endpoint] != nil }
    entries = list
    positions = [:]
    for (position, entry) in list.enumerated() { positions[entry.id] = position }
    return (added, removed)
  }

  subscript(id id: Int) -> Entry? { positions[id].map { entries[$0] } }

  mutating func set(_ id: Int, _ state: ConnectivityState) {
    guard let position = positions[id] else { return }
    entries[position].state = state
    switch state {
    case .ready: entries[position].hasFailed = false
    case .transientFailure: entries[position].hasFailed = true
    default: break
    }
  }

  mutating func set(_ id: Int, ejected: Bool) {
    guard let position = positions[id] else { return }
    entries[position].isEjected = ejected
  }

  /// Counts attempts of an endpoint.
  mutating func add(_ count: Int, outstandingOf id: Int) {
    guard let position = positions[id] else { return }
    entries[position].outstanding += count
  }
}
