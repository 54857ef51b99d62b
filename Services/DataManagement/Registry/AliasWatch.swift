package import Store
import Synchronization

/// Those who wait for aliases to change.
///
/// A watcher is told that something changed, not what: it reads the state, and so misses nothing however slow
/// it is, in bounded memory.
final class AliasWatchers: Sendable {
  private struct State {
    var continuations: [UInt64: AsyncStream<Void>.Continuation] = [:]
    var next: UInt64 = 0
    var isOver = false
  }

  private let state = Mutex(State())

  /// Says that aliases may have changed.
  func notify() {
    // Yielding only stores the element, so that it is safe under the lock.
    state.withLock { for continuation in $0.continuations.values { continuation.yield() } }
  }

  /// Ends all watches.
  func end() {
    let ended = state.withLock { state in
      state.isOver = true
      defer { state.continuations = [:] }
      return Array(state.continuations.values)
    }
    for continuation in ended { continuation.finish() }
  }

  /// Whether all watches were ended.
  var isOver: Bool { state.withLock { $0.isOver } }

  /// A stream of notifications; nil if there are as many already.
  func add(max: Int) -> AsyncStream<Void>? {
    let (stream, continuation) = AsyncStream.makeStream(
      of: Void.self,
      bufferingPolicy: .bufferingNewest(1)
    )
    let id = state.withLock { state -> UInt64? in
      guard state.continuations.count < max else { return nil }
      state.next += 1
      if !state.isOver { state.continuations[state.next] = continuation }
      return state.next
    }
    guard let id else { return nil }
    continuation.onTermination = { [weak self] _ in self?.remove(id) }
    if isOver { continuation.finish() }
    return stream
  }

  private func remove(_ id: UInt64) {
    state.withLock { _ = $0.continuations.removeValue(forKey: id) }
  }
}

extension ModelRegistry {
  /// Starts to watch the aliases of some models, or of all (none named).
  ///
  /// Throws `invalidArgument` for a bad name, `resourceExhausted` beyond `watchersMax`.
  package func watchAliases(of names: [String] = []) throws(DataError) -> AliasWatch {
    for name in names { try ModelReference.validateName(name) }
    guard let changes = watchers.add(max: limits.watchersMax) else {
      throw DataError(
        .resourceExhausted,
        "watch aliases: \(limits.watchersMax) watchers are there already"
      )
    }
    return AliasWatch(registry: self, names: Set(names), changes: changes.makeAsyncIterator())
  }
}

/// Tells where aliases point, and each time they moved; of one task.
package struct AliasWatch {
  private let registry: ModelRegistry
  private let names: Set<String>
  private var changes: AsyncStream<Void>.Iterator
  private var known: [AliasTarget]?

  fileprivate init(
    registry: ModelRegistry,
    names: Set<String>,
    changes: AsyncStream<Void>.Iterator
  ) {
    self.registry = registry
    self.names = names
    self.changes = changes
  }

  /// First all aliases at once, then those that changed, as soon as they did; nil when the registry closes or
  /// the task is cancelled.
  ///
  /// An alias that was removed comes with version 0.
  package mutating func next() async throws(DataError) -> [AliasTarget]? {
    guard let known else {
      self.known = try await current()
      return self.known
    }
    while await changes.next(isolation: #isolation) != nil {
      guard let targets = try await current() else { return nil }
      self.known = targets
      let moved = targets.filter { !known.contains($0) }
      let gone = known.filter { old in
        !targets.contains { $0.name == old.name && $0.alias == old.alias }
      }.map { old in
        AliasTarget(name: old.name, alias: old.alias, version: 0, digest: "", isImplied: false)
      }
      if !moved.isEmpty || !gone.isEmpty { return moved + gone }
    }
    return nil
  }

  /// Where the aliases point; nil if the watch is over.
  private func current() async throws(DataError) -> [AliasTarget]? {
    let targets: [AliasTarget]
    do {
      targets = try await registry.aliasTargets()
    } catch {
      guard error.code == .cancelled || registry.watchers.isOver else { throw error }
      return nil
    }
    return names.isEmpty ? targets : targets.filter { names.contains($0.name) }
  }
}
