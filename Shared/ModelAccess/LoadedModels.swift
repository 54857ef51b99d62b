import RPC
package import ServiceAPI

/// The models that a service has loaded, each once, found by the names that requests use.
///
/// A name is resolved by the registry at most once per `resolutionLifetime`, so that an alias that moves is followed
/// soon and a request costs no call. While the registry cannot be reached, what is known still counts: a service
/// goes on serving without it. The least recently used model is let go when another one needs its place; it ends
/// with the last request that uses it.
package actor LoadedModels<Model: Sendable> {
  /// Names that are remembered at once.
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

  private let registry: RegistryV1.RegistryClient
  private let modelsMax: Int
  private let resolutionLifetime: Duration
  private let load: @Sendable (RegistryV1.ModelVersion) async throws -> Model
  private var resolutions: [String: Resolution] = [:]
  /// In the order of their last use.
  private var loading: [(key: Key, task: Task<Entry, any Error>)] = []

  /// Models found through `registry` and loaded by `load`, at most `modelsMax` at once; a resolved name is believed
  /// for `resolutionLifetime`.
  package init(
    registry: RegistryV1.RegistryClient,
    modelsMax: Int,
    resolutionLifetime: Duration = .seconds(1),
    load: @escaping @Sendable (RegistryV1.ModelVersion) async throws -> Model
  ) {
    precondition(modelsMax > 0)
    self.registry = registry
    self.modelsMax = modelsMax
    self.resolutionLifetime = resolutionLifetime
    self.load = load
  }

  /// The model that a request's name means, loaded if it is not yet.
  ///
  /// Requests for a model that is being loaded wait for it together. Throws NOT_FOUND, INVALID_ARGUMENT or UNAVAILABLE
  /// as the registry does, and what `load` throws; a load that failed is tried again by the next request.
  package func entry(_ name: String) async throws -> Entry {
    let version = try await resolve(name)
    let key = Key(name: version.name, version: version.version)
    if let index = loading.firstIndex(where: { $0.key == key }) {
      let found = loading.remove(at: index)
      loading.append(found)
      return try await found.task.value
    }
    if loading.count == modelsMax { loading.removeFirst() }
    let task = Task { [load] in Entry(version: version, model: try await load(version)) }
    loading.append((key, task))
    do {
      return try await task.value
    } catch {
      loading.removeAll { $0.key == key && $0.task == task }
      throw error
    }
  }

  /// The models that are loaded or being loaded.
  package var count: Int { loading.count }

  private func resolve(_ name: String) async throws -> RegistryV1.ModelVersion {
    let known = resolutions[name]
    if let known, ContinuousClock.now < known.until { return known.version }
    var request = RegistryV1.ResolveModelRequest()
    request.model = name
    var options = CallOptions()
    options.timeout = Self.registryTimeout
    do {
      let version = try await registry.resolveModel(request, options: options)
      remember(version, as: name)
      return version
    } catch {
      if let known, error.code == .unavailable || error.code == .deadlineExceeded {
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
