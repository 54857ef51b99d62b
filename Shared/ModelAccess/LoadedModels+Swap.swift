import RPC
import ServiceAPI

/// What happens to a version that is to take another one's place behind requests.
package enum ModelSwapEvent: Sendable {
  /// It is loaded and answers from now on.
  case loaded(model: String, version: UInt32, Duration)
  /// It cannot be loaded: the version before goes on.
  case failed(model: String, version: UInt32, any Error)
}

/// Where an alias is.
struct AliasPlace: Hashable {
  let model: String
  let alias: String

  /// The alias that a bare name stands for.
  static let production = "production"

  /// What requests call it.
  var names: [String] {
    let name = "\(model)@\(alias)"
    return alias == Self.production ? [model, name] : [name]
  }
}

extension LoadedModels {
  /// Takes in what the registry tells of its aliases: versions that are to replace loaded ones are loaded.
  package func follow(_ event: AliasEvent) {
    guard !isClosed else { return }
    switch event {
    case .all(let aliases):
      isFollowing = true
      let all = aliases.map { (AliasPlace($0), $0.version) }
      move(to: Dictionary(all, uniquingKeysWith: { $1 }))
    case .changed(let aliases):
      var all = targets
      for alias in aliases { all[AliasPlace(alias)] = alias.version }
      move(to: all)
    case .disconnected:
      isFollowing = false
      // From now on the names are asked for as if nobody had ever told.
      let soon = ContinuousClock.now
      for name in resolutions.keys { resolutions[name]?.until = soon }
    }
  }

  private func move(to all: [AliasPlace: UInt32]) {
    let former = targets
    targets = all.filter { $0.value != 0 }
    let moved = Set(former.keys).union(targets.keys).filter { former[$0] != targets[$0] }
    guard !moved.isEmpty else { return }
    changes += 1
    for place in moved {
      for name in place.names {
        // Kept for the time that the registry might be away.
        resolutions[name]?.until = .now
        resolving[name] = nil
      }
      let old = former[place].map { Key(name: place.model, version: $0) }
      if let new = targets[place] {
        let key = Key(name: place.model, version: new)
        let isUsed = old.map { old in slots.contains { $0.key == old } } ?? false
        if isUsed || place.names.contains(where: { served[$0] != nil }) { prepare(key) }
      }
      if let old { outdate(old) }
    }
  }

  /// Loads a version that aliases mean now, unless it is there or could not be loaded just now.
  private func prepare(_ key: Key) {
    if isLoaded(key) { return adopt(key) }
    guard needsLoad(key) else { return }
    Task {
      do {
        let version = try await resolve("\(key.name)@\(key.version)")
        if version.version == key.version, version.name == key.name { beginSwap(version) }
      } catch {
        if !isClosed { failed(key, error, isSwap: true) }
      }
    }
  }

  /// Begins to load a version while another one goes on to answer.
  func beginSwap(_ version: RegistryV1.ModelVersion) {
    let key = Key(name: version.name, version: version.version)
    guard needsLoad(key) else { return }
    do {
      try begin(key, version, isSwap: true)
    } catch {
      failed(key, error, isSwap: true)
    }
  }

  private func needsLoad(_ key: Key) -> Bool {
    !isClosed && !slots.contains { $0.key == key } && recentFailure(key) == nil
  }

  /// Serves the names that mean a version with it, now that it is loaded.
  func adopt(_ key: Key) {
    for (name, old) in served where old != key && resolutions[name]?.key == key {
      serve(name, with: key)
    }
    sweep()
  }

  /// Notes which version answers a name.
  func serve(_ name: String, with key: Key) {
    if let index = slots.firstIndex(where: { $0.key == key }) { slots[index].isOutdated = false }
    let old = served[name]
    guard old != key else { return }
    if old == nil, served.count >= Self.namesMax { served.removeAll() }
    served[name] = key
    if let old { outdate(old) }
  }

  // MARK: - Letting go

  private func isWanted(_ key: Key) -> Bool {
    if isFollowing, targets.contains(where: { $0.key.model == key.name && $0.value == key.version })
    {
      return true
    }
    return served.values.contains(key)
  }

  private func outdate(_ key: Key) {
    guard !isWanted(key), let index = slots.firstIndex(where: { $0.key == key }) else { return }
    slots[index].isOutdated = true
    sweep()
  }

  /// Lets go of outdated versions that nobody asks for, and sees to those that are still asked for later.
  private func sweep() {
    let now = ContinuousClock.now
    for index in slots.indices where slots[index].isOutdated && isWanted(slots[index].key) {
      slots[index].isOutdated = false
    }
    // A version without a successor goes on: it may be all that can be loaded.
    let replaced = Set(slots.filter { $0.isLoaded && !$0.isOutdated }.map(\.key.name))
    let leaving = slots.filter {
      $0.isOutdated && $0.isLoaded && replaced.contains($0.key.name)
    }
    let gone = Set(leaving.filter { now - $0.usedAt >= outdatedLifetime }.map(\.id))
    slots.removeAll { gone.contains($0.id) }
    guard sweeper == nil, !isClosed,
      let oldest = leaving.filter({ !gone.contains($0.id) }).map(\.usedAt).min()
    else { return }
    let next = oldest + outdatedLifetime
    sweeper = Task { [weak self] in
      try? await Task.sleep(until: next)
      guard !Task.isCancelled else { return }
      await self?.sweepAgain()
    }
  }

  private func sweepAgain() {
    sweeper = nil
    sweep()
  }
}

extension AliasPlace {
  /// The place that a message tells of.
  init(_ alias: RegistryV1.AliasTarget) {
    self.init(model: alias.name, alias: alias.alias)
  }
}
