/// Which replicas there are, which of them take calls, and which is the next to get one.
///
/// A state machine without connections, clocks or threads; a ``ReplicaSet`` owns one.
///
/// A replica takes calls while it is listed, says that it serves and did not just refuse a call. Each time it
/// begins to, its epoch changes: what is known to have failed is one epoch of a replica, not the replica for ever.
struct ReplicaTable: Sendable {
  /// Names a replica for as long as the process lives.
  typealias ID = UInt64

  /// Most replicas that are listed.
  static let replicasMax = 256
  /// Most replicas at once, with those that only finish their calls.
  static let membersMax = 2 * replicasMax

  struct Replica: Sendable {
    let id: ID
    let endpoint: Endpoint
    /// Whether a source names it; one that is not listed goes with its last call.
    var isListed = true
    /// Whether it says that it serves.
    var isServing = false
    /// Whether it refused a call and is left alone for a moment.
    var isSuspended = false
    var epoch = 0
    var outstanding = 0

    var state: ReplicaState {
      if isListed, isServing { return isSuspended ? .unready : .ready }
      return outstanding > 0 ? .draining : .unready
    }
  }

  private(set) var replicas: [Replica] = []
  private var nextID: ID = 0
  /// The last replica that was picked: the first to be passed over among equals.
  private var lastPicked = -1

  /// How many take calls.
  var readyCount: Int { replicas.count { $0.state == .ready } }

  subscript(id: ID) -> Replica? { replicas.first { $0.id == id } }

  /// Takes the list of endpoints over; what is in excess of ``replicasMax`` is left out.
  ///
  /// Returns the replicas that are new, those that are gone, and how many endpoints were left out.
  mutating func update(
    _ endpoints: [Endpoint]
  ) -> (added: [Replica], removed: [ID], excess: Int) {
    let listed = Set(endpoints)
    var known: Set<Endpoint> = []
    for index in replicas.indices {
      replicas[index].isListed = listed.contains(replicas[index].endpoint)
      known.insert(replicas[index].endpoint)
    }
    let removed = replicas.filter { !$0.isListed && $0.outstanding == 0 }.map(\.id)
    for id in removed { remove(id) }
    var added: [Replica] = []
    var listedCount = replicas.count { $0.isListed }
    var excess = 0
    for endpoint in endpoints where known.insert(endpoint).inserted {
      guard listedCount < Self.replicasMax, replicas.count < Self.membersMax else {
        excess += 1
        continue
      }
      listedCount += 1
      added.append(Replica(id: nextID, endpoint: endpoint))
      replicas.append(Replica(id: nextID, endpoint: endpoint))
      nextID += 1
    }
    checkInvariants()
    return (added, removed, excess)
  }

  /// Counts a call on the ready replica with the fewest outstanding, in turn among equals.
  ///
  /// Without a ready one, a suspended one that says it serves is better than none: what it refuses may be one
  /// model, not all calls. nil if every candidate is excluded.
  mutating func pick(excluding excluded: Set<ReplicaEpoch>) -> ReplicaEpoch? {
    guard
      let index = least(excluding: excluded, isSuspended: false)
        ?? least(excluding: excluded, isSuspended: true)
    else { return nil }
    lastPicked = index
    return take(index)
  }

  /// Counts a call on every ready replica.
  mutating func pickAll() -> [ReplicaEpoch] {
    replicas.indices.filter { replicas[$0].state == .ready }.map { take($0) }
  }

  private mutating func take(_ index: Int) -> ReplicaEpoch {
    replicas[index].outstanding += 1
    return ReplicaEpoch(id: replicas[index].id, epoch: replicas[index].epoch)
  }

  private func least(excluding excluded: Set<ReplicaEpoch>, isSuspended: Bool) -> Int? {
    var best: Int?
    for offset in 1...max(1, replicas.count) where !replicas.isEmpty {
      let index = (lastPicked + offset) % replicas.count
      let replica = replicas[index]
      guard replica.isListed, replica.isServing, replica.isSuspended == isSuspended,
        !excluded.contains(ReplicaEpoch(id: replica.id, epoch: replica.epoch))
      else { continue }
      if let found = best, replicas[found].outstanding <= replica.outstanding { continue }
      best = index
    }
    return best
  }

  /// Counts a call out.
  ///
  /// Returns whether the replica is gone with it.
  mutating func release(_ id: ID) -> Bool {
    guard let index = replicas.firstIndex(where: { $0.id == id }) else { return false }
    precondition(
      replicas[index].outstanding > 0,
      "replica \(replicas[index].endpoint): released twice"
    )
    replicas[index].outstanding -= 1
    guard !replicas[index].isListed, replicas[index].outstanding == 0 else { return false }
    remove(id)
    checkInvariants()
    return true
  }

  /// Notes what a replica says of itself; what it refused before is forgotten when it begins to serve.
  ///
  /// Returns whether that is new.
  @discardableResult
  mutating func set(_ id: ID, serving: Bool) -> Bool {
    guard let index = replicas.firstIndex(where: { $0.id == id }),
      replicas[index].isServing != serving
    else { return false }
    replicas[index].isServing = serving
    replicas[index].isSuspended = false
    if serving { replicas[index].epoch += 1 }
    checkInvariants()
    return true
  }

  /// Leaves a replica alone that refused a call.
  ///
  /// Returns whether that is new; not so for one that has begun to serve anew since, or does not serve.
  mutating func suspend(_ call: ReplicaEpoch) -> Bool {
    guard let index = replicas.firstIndex(where: { $0.id == call.id }),
      replicas[index].epoch == call.epoch, replicas[index].isServing,
      !replicas[index].isSuspended
    else { return false }
    replicas[index].isSuspended = true
    return true
  }

  /// Ends a suspension, unless the replica has begun to serve anew since.
  mutating func resume(_ call: ReplicaEpoch) {
    guard let index = replicas.firstIndex(where: { $0.id == call.id }),
      replicas[index].epoch == call.epoch, replicas[index].isSuspended
    else { return }
    replicas[index].isSuspended = false
    replicas[index].epoch += 1
  }

  private mutating func remove(_ id: ID) {
    guard let index = replicas.firstIndex(where: { $0.id == id }) else { return }
    replicas.remove(at: index)
    if index <= lastPicked { lastPicked -= 1 }
  }

  /// What holds between any two calls.
  func checkInvariants() {
    assert(Set(replicas.map(\.endpoint)).count == replicas.count, "an endpoint is there twice")
    assert(replicas.count <= Self.membersMax)
    assert((-1..<max(1, replicas.count)).contains(lastPicked))
    for replica in replicas {
      assert(replica.outstanding >= 0)
      assert(replica.isListed || replica.outstanding > 0, "a replica outlives its last call")
      assert(replica.isServing || !replica.isSuspended)
    }
  }
}

/// A replica from when it began to take calls until it takes them anew.
struct ReplicaEpoch: Sendable, Hashable {
  let id: ReplicaTable.ID
  let epoch: Int
}

/// Whether a replica takes calls.
public enum ReplicaState: String, Sendable, CaseIterable {
  /// It does.
  case ready
  /// It is not reached, says that it does not serve, or refused a call a moment ago.
  case unready
  /// It takes no new call and still has some to finish.
  case draining
}
