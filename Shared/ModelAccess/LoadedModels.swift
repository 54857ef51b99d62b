import RPC
package import ServiceAPI

/// The models that a service has loaded, each once, found by the names that requests use.
///
/// A name is resolved by the registry at most once per `resolutionLifetime`, so that an alias that moves is followed
/// soon and a request costs no call; `follow` makes it known at once. While the registry cannot be reached, what is
/// known still counts: a service goes on serving without it.
///
/// A name that has been served and now means another version is served with the old one until the new one is loaded,
/// and for as long as that cannot be. Requests that run keep what they began with: a model ends with the last request
/// that uses it. A version that no alias means any more is let go when no request has asked for it for
/// `outdatedLifetime`: a request may name the version that its first half was answered by.
///
/// The least recently used model is let go when another one needs its place. A model that is being loaded is never
/// let go, so that no more than `modelsMax` loads can be under way; a swap may take one place more.
package actor LoadedModels<Model: Sendable> {
  /// Names, and failed loads, that are remembered at once.
  static var namesMax: Int { 1024 }
  /// How long the registry may take to answer.
  static var registryTimeout: Duration { .seconds(10) }
  /// How long a resolved name is believed while changes of aliases are told.
  static var followedLifetime: Duration { .seconds(30) }

  /// A loaded model and the version it was loaded from.
  package struct Entry: Sendable {
    /// What the registry says of it.
    package let version: RegistryV1.ModelVersion
    /// The model.
    package let model: Model
  }

  struct Key: Hashable {
    let name: String
    let version: UInt32
  }

  struct Resolution {
    let version: RegistryV1.ModelVersion
    var until: ContinuousClock.Instant

    var key: Key { Key(name: version.name, version: version.version) }
  }

  struct Slot {
    let id: Int
    let key: Key
    let task: Task<Entry, any Error>
    /// Loaded behind requests that an older version answers.
    let isSwap: Bool
    let begunAt = ContinuousClock.now
    var usedAt = ContinuousClock.now
    var isLoaded = false
    /// An alias meant it, and none does any more.
    var isOutdated = false
  }

  struct Failure {
    let error: any Error
    let until: ContinuousClock.Instant
  }

  private let registry: RegistryV1.RegistryClient
  private let modelsMax: Int
  private let resolutionLifetime: Duration
  private let retryDelay: Duration
  let outdatedLifetime: Duration
  private let load: @Sendable (RegistryV1.ModelVersion) async throws -> Model
  let onEvent: @Sendable (ModelSwapEvent) -> Void
  var resolutions: [String: Resolution] = [:]
  /// Calls of the registry that have not been answered, each for all requests that wait for its name.
  var resolving: [String: Task<RegistryV1.ModelVersion, any Error>] = [:]
  /// In the order of their last use; at most `modelsMax`, and one more during a swap.
  var slots: [Slot] = []
  private var slotsBegun = 0
  var failures: [Key: Failure] = [:]
  /// The versions that names are served with; names that say a version are not among them.
  var served: [String: Key] = [:]
  /// What the registry last told of the aliases.
  var targets: [AliasPlace: UInt32] = [:]
  /// Whether it tells their changes at present.
  var isFollowing = false
  /// Grows when aliases change: what was asked before may be out of date.
  var changes = 0
  var sweeper: Task<Void, Never>?
  var isClosed = false

  /// Models found through `registry` and loaded by `load`, at most `modelsMax` at once; a resolved name is believed
  /// for `resolutionLifetime`, and a load that failed is not tried again for `retryDelay`.
  ///
  /// `onEvent` is told of swaps, on the actor: it must be quick.
  package init(
    registry: RegistryV1.RegistryClient,
    modelsMax: Int,
    resolutionLifetime: Duration = .seconds(1),
    retryDelay: Duration = .seconds(5),
    outdatedLifetime: Duration = .seconds(10),
    onEvent: @escaping @Sendable (ModelSwapEvent) -> Void = { _ in },
    load: @escaping @Sendable (RegistryV1.ModelVersion) async throws -> Model
  ) {
    precondition(modelsMax > 0)
    self.registry = registry
    self.modelsMax = modelsMax
    self.resolutionLifetime = resolutionLifetime
    self.retryDelay = retryDelay
    self.outdatedLifetime = outdatedLifetime
    self.onEvent = onEvent
    self.load = load
  }

  /// The model that a request's name means, loaded if it is not yet.
  ///
  /// Requests for a model that is being loaded wait for it together, unless the name has been served with another
  /// version, which then goes on. Throws INVALID_ARGUMENT for what is no name; NOT_FOUND, INVALID_ARGUMENT or
  /// UNAVAILABLE as the registry does; RESOURCE_EXHAUSTED while every place is taken by a model that is being loaded;
  /// UNAVAILABLE after `close`; and what `load` throws.
  package func entry(_ name: String) async throws -> Entry {
    try ModelName.check(name)
    guard !isClosed else { throw Self.closedError }
    let pinned = ModelName.pinned(name).map { Key(name: $0.name, version: $0.version) }
    if let pinned, let task = use(pinned) { return try await task.value }
    let version = try await resolve(name)
    guard !isClosed else { throw Self.closedError }
    let key = Key(name: version.name, version: version.version)
    if pinned == nil, let old = served[name], old != key, !isLoaded(key), let task = use(old) {
      beginSwap(version)
      return try await task.value
    }
    let entry = try await loaded(key, version)
    if pinned == nil, served[name] == nil || resolutions[name]?.key == key {
      serve(name, with: key)
    }
    return entry
  }

  /// The models that are loaded or being loaded.
  package var count: Int { slots.count }

  /// Lets go of all models and accepts no more requests; returns those that were loaded, for their end.
  ///
  /// Loads that have not begun are given up, the others are waited for.
  package func close() async -> [Model] {
    isClosed = true
    sweeper?.cancel()
    let tasks = slots.map(\.task)
    slots = []
    for task in tasks { task.cancel() }
    var models: [Model] = []
    for task in tasks {
      if let entry = try? await task.value { models.append(entry.model) }
    }
    return models
  }

  private static var closedError: RPCError {
    RPCError(.unavailable, "the service is shutting down")
  }

  // MARK: - Loading

  /// Whether the version is ready.
  func isLoaded(_ key: Key) -> Bool { slots.contains { $0.key == key && $0.isLoaded } }

  /// The load of a version, if it has begun, which counts as used now.
  private func use(_ key: Key) -> Task<Entry, any Error>? {
    guard let index = slots.firstIndex(where: { $0.key == key }) else { return nil }
    var slot = slots.remove(at: index)
    slot.usedAt = .now
    slots.append(slot)
    return slot.task
  }

  private func loaded(_ key: Key, _ version: RegistryV1.ModelVersion) async throws -> Entry {
    if let task = use(key) { return try await task.value }
    if let failure = recentFailure(key) { throw failure.error }
    return try await begin(key, version, isSwap: false).value
  }

  /// A failed load that is not tried again yet.
  func recentFailure(_ key: Key) -> Failure? {
    guard let failure = failures[key] else { return nil }
    if ContinuousClock.now < failure.until { return failure }
    failures[key] = nil
    return nil
  }

  /// Begins to load a version that has no place yet.
  @discardableResult
  func begin(
    _ key: Key,
    _ version: RegistryV1.ModelVersion,
    isSwap: Bool
  ) throws(RPCError) -> Task<Entry, any Error> {
    try makeRoom(for: key, isSwap: isSwap)
    slotsBegun += 1
    let id = slotsBegun
    let task = Task { [load] in
      do {
        let entry = Entry(version: version, model: try await load(version))
        ended(id, with: nil)
        return entry
      } catch {
        ended(id, with: error)
        throw error
      }
    }
    slots.append(Slot(id: id, key: key, task: task, isSwap: isSwap))
    return task
  }

  private func makeRoom(for key: Key, isSwap: Bool) throws(RPCError) {
    while slots.count >= modelsMax {
      let isFree = { (slot: Slot) in slot.isLoaded && !(isSwap && slot.key.name == key.name) }
      let oldest =
        slots.firstIndex { $0.isLoaded && $0.isOutdated } ?? slots.firstIndex(where: isFree)
      if let oldest {
        slots.remove(at: oldest)
      } else if isSwap, slots.count == modelsMax {
        return
      } else {
        throw RPCError(
          .resourceExhausted,
          "\(modelsMax) models are being loaded; no other can be until one of them is"
        )
      }
    }
  }

  private func ended(_ id: Int, with error: (any Error)?) {
    // A place that `close` has taken is not looked for again.
    guard let index = slots.firstIndex(where: { $0.id == id }) else { return }
    let slot = slots[index]
    if let error {
      slots.remove(at: index)
      failed(slot.key, error, isSwap: slot.isSwap)
    } else {
      slots[index].isLoaded = true
      if slot.isSwap {
        let duration = ContinuousClock.now - slot.begunAt
        onEvent(.loaded(model: slot.key.name, version: slot.key.version, duration))
      }
      adopt(slot.key)
    }
  }

  /// Remembers that a version cannot be loaded.
  func failed(_ key: Key, _ error: any Error, isSwap: Bool) {
    if failures.count >= Self.namesMax { failures.removeAll() }
    failures[key] = Failure(error: error, until: ContinuousClock.now + retryDelay)
    if isSwap { onEvent(.failed(model: key.name, version: key.version, error)) }
  }

  // MARK: - Names

  /// What the registry says, or said not long ago, that a name means.
  func resolve(_ name: String) async throws -> RegistryV1.ModelVersion {
    if let known = resolutions[name], ContinuousClock.now < known.until { return known.version }
    if let task = resolving[name] { return try await task.value }
    let task = Task { try await ask(name) }
    resolving[name] = task
    defer { if resolving[name] == task { resolving[name] = nil } }
    return try await task.value
  }

  private func ask(_ name: String) async throws -> RegistryV1.ModelVersion {
    var request = RegistryV1.ResolveModelRequest()
    request.model = name
    var options = CallOptions()
    options.timeout = Self.registryTimeout
    let asked = changes
    do {
      // The answer is for all who wait, so the deadline of the first of them does not count.
      let version = try await Deadline.$current.withValue(nil) {
        try await registry.resolveModel(request, options: options)
      }
      remember(version, as: name, isCurrent: asked == changes)
      return version
    } catch {
      if let known = resolutions[name], let error = error as? RPCError,
        error.code == .unavailable || error.code == .deadlineExceeded
      {
        remember(known.version, as: name, isCurrent: true)
        return known.version
      }
      resolutions[name] = nil
      throw error
    }
  }

  private func remember(
    _ version: RegistryV1.ModelVersion,
    as name: String,
    isCurrent: Bool
  ) {
    if resolutions.count >= Self.namesMax { resolutions.removeAll() }
    let lifetime = isFollowing ? Self.followedLifetime : resolutionLifetime
    resolutions[name] = Resolution(
      version: version,
      until: isCurrent ? ContinuousClock.now + lifetime : .now
    )
  }
}
