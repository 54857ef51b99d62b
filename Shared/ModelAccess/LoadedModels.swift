import RPC
package import ServiceAPI

/// The models that a service has loaded, each once, found by the names that requests use.
///
/// A name is resolved by the registry at most once per `resolutionLifetime`, so that an alias that moves is followed
/// soon and a request costs no call. While the registry cannot be reached, what is known still counts: a service
/// goes on serving without it. The least recently used model is let go when another one needs its place; it ends
/// with the last request that uses it. A model that is being loaded is never let go, so that no more than
/// `modelsMax` loads can be under way.
package actor LoadedModels<Model: Sendable> {
  /// Names, and failed loads, that are remembered at once.
  static var namesMax: Int { 1024 }
  /// How long the registry may take to answer.
  static var registryTimeout: Duration { .seconds(10) }

  /// A loaded model and the version it was loaded from.
  package struct Entry: Sendable {
    /// What the registry says of it.
    package let version: RegistryV1.ModelVersion
    /// The model.
    package let model: Model
  }

  private struct Key: Hashable {
    let name: String
    let version: UInt32
  }

  private struct Resolution {
    let version: RegistryV1.ModelVersion
    let until: ContinuousClock.Instant
  }

  private struct Slot {
    let key: Key
    let task: Task<Entry, any Error>
    var isLoaded = false
  }

  private struct Failure {
    let error: any Error
    let until: ContinuousClock.Instant
  }

  private let registry: RegistryV1.RegistryClient
  private let modelsMax: Int
  private let resolutionLifetime: Duration
  private let retryDelay: Duration
  private let load: @Sendable (RegistryV1.ModelVersion) async throws -> Model
  private var resolutions: [String: Resolution] = [:]
  /// Calls of the registry that have not been answered, each for all requests that wait for its name.
  private var resolving: [String: Task<RegistryV1.ModelVersion, any Error>] = [:]
  /// In the order of their last use; at most `modelsMax`.
  private var slots: [Slot] = []
  private var failures: [Key: Failure] = [:]
  private var isClosed = false

  /// Models found through `registry` and loaded by `load`, at most `modelsMax` at once; a resolved name is believed
  /// for `resolutionLifetime`, and a load that failed is not tried again for `retryDelay`.
  package init(
    registry: RegistryV1.RegistryClient,
    modelsMax: Int,
    resolutionLifetime: Duration = .seconds(1),
    retryDelay: Duration = .seconds(5),
    load: @escaping @Sendable (RegistryV1.ModelVersion) async throws -> Model
  ) {
    precondition(modelsMax > 0)
    self.registry = registry
    self.modelsMax = modelsMax
    self.resolutionLifetime = resolutionLifetime
    self.retryDelay = retryDelay
    self.load = load
  }

  /// The model that a request's name means, loaded if it is not yet.
  ///
  /// Requests for a model that is being loaded wait for it together. Throws INVALID_ARGUMENT for what is no name;
  /// NOT_FOUND, INVALID_ARGUMENT or UNAVAILABLE as the registry does; RESOURCE_EXHAUSTED while every place is taken
  /// by a model that is being loaded; UNAVAILABLE after `close`; and what `load` throws.
  package func entry(_ name: String) async throws -> Entry {
    try ModelName.check(name)
    let version = try await resolve(name)
    let key = Key(name: version.name, version: version.version)
    guard !isClosed else { throw RPCError(.unavailable, "the service is shutting down") }
    if let index = slots.firstIndex(where: { $0.key == key }) {
      let found = slots.remove(at: index)
      slots.append(found)
      return try await found.task.value
    }
    if let failure = failures[key] {
      if ContinuousClock.now < failure.until { throw failure.error }
      failures[key] = nil
    }
    return try await start(key, version)
  }

  /// The models that are loaded or being loaded.
  package var count: Int { slots.count }

  /// Lets go of all models and accepts no more requests; returns those that were loaded, for their end.
  ///
  /// Loads that have not begun are given up, the others are waited for.
  package func close() async -> [Model] {
    isClosed = true
    let tasks = slots.map(\.task)
    slots = []
    for task in tasks { task.cancel() }
    var models: [Model] = []
    for task in tasks {
      if let entry = try? await task.value { models.append(entry.model) }
    }
    return models
  }

  private func start(_ key: Key, _ version: RegistryV1.ModelVersion) async throws -> Entry {
    if slots.count == modelsMax {
      guard let oldest = slots.firstIndex(where: \.isLoaded) else {
        throw RPCError(
          .resourceExhausted,
          "\(modelsMax) models are being loaded; no other can be until one of them is"
        )
      }
      slots.remove(at: oldest)
    }
    let task = Task { [load] in Entry(version: version, model: try await load(version)) }
    slots.append(Slot(key: key, task: task))
    do {
      let entry = try await task.value
      if let index = slots.firstIndex(where: { $0.task == task }) { slots[index].isLoaded = true }
      return entry
    } catch {
      slots.removeAll { $0.task == task }
      if failures.count >= Self.namesMax { failures.removeAll() }
      failures[key] = Failure(error: error, until: ContinuousClock.now + retryDelay)
      throw error
    }
  }

  private func resolve(_ name: String) async throws -> RegistryV1.ModelVersion {
    if let known = resolutions[name], ContinuousClock.now < known.until { return known.version }
    if let task = resolving[name] { return try await task.value }
    let task = Task { try await ask(name) }
    resolving[name] = task
    defer { resolving[name] = nil }
    return try await task.value
  }

  private func ask(_ name: String) async throws -> RegistryV1.ModelVersion {
    var request = RegistryV1.ResolveModelRequest()
    request.model = name
    var options = CallOptions()
    options.timeout = Self.registryTimeout
    do {
      // The answer is for all who wait, so the deadline of the first of them does not count.
      let version = try await Deadline.$current.withValue(nil) {
        try await registry.resolveModel(request, options: options)
      }
      remember(version, as: name)
      return version
    } catch {
      if let known = resolutions[name], let error = error as? RPCError,
        error.code == .unavailable || error.code == .deadlineExceeded
      {
        remember(known.version, as: name)
        return known.version
      }
      resolutions[name] = nil
      throw error
    }
  }

  private func remember(_ version: RegistryV1.ModelVersion, as name: String) {
    if resolutions.count >= Self.namesMax { resolutions.removeAll() }
    resolutions[name] = Resolution(
      version: version,
      until: ContinuousClock.now + resolutionLifetime
    )
  }
}
