import RPC
import ServiceAPI
import Synchronization

/// A model that clients can name.
struct Model: Sendable, Equatable {
  /// What a model does, as the registry writes it.
  enum Task {
    static let textGeneration = "text-generation"
    static let tokenClassification = "token-classification"
  }

  var name: String
  var version: UInt32
  /// SHA-256 of the version's files.
  var digest: String
  var task: String
  var aliases: [String]
  /// The longest input, in tokens.
  var contextTokens: Int
  /// Seconds since 1970.
  var created: Int64

  init(_ version: RegistryV1.ModelVersion) {
    name = version.name
    self.version = version.version
    digest = version.digest
    task = version.task
    aliases = version.aliases
    contextTokens = Int(version.contextTokens)
    created = version.createdAtMs / 1000
  }
}

/// All versions of all models, as the registry listed them.
struct ModelList: Sendable, Equatable {
  private let versions: [String: [Model]]

  init(_ models: [Model]) {
    versions = Dictionary(grouping: models, by: \.name)
      .mapValues { $0.sorted { $0.version < $1.version } }
  }

  /// One version of each model: what its bare name means, by name.
  var models: [Model] { versions.keys.sorted().compactMap { self[$0] } }

  /// What `name`, `name@version` or `name@alias` means, by the registry's rules: a bare name means
  /// its alias "production" and, without one, its newest version.
  subscript(reference: String) -> Model? {
    let parts = reference.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    guard let all = versions[String(parts[0])] else { return nil }
    guard parts.count == 2 else {
      return all.last { $0.aliases.contains("production") } ?? all.last
    }
    let tag = String(parts[1])
    if let version = UInt32(tag) { return all.first { $0.version == version } }
    return all.last { $0.aliases.contains(tag) }
  }
}

/// The registry's models, kept for a moment: a chat costs two internal calls, not three.
///
/// Callable from any task. The list is renewed in the background (``refresh()``); a request asks
/// the registry itself only for a name that the list does not have.
final class ModelCatalog: Sendable {
  /// A list younger than this is not asked for again for the sake of an unknown name.
  static let missAge: Duration = .milliseconds(250)

  private struct State {
    var list: ModelList?
    var readAt = ContinuousClock.now
  }

  private let backends: Backends
  private let state = Mutex(State())

  init(_ backends: Backends) { self.backends = backends }

  /// The list as last read; asks the registry if it was never read.
  func list() async throws(GatewayError) -> ModelList {
    if let list = state.withLock({ $0.list }) { return list }
    return try await refreshed()
  }

  /// What a client's name for a model means; nil if the registry cannot be asked and the name is
  /// not in the list.
  ///
  /// Throws `modelNotFound` if there is no such model.
  func model(_ reference: String) async throws(GatewayError) -> Model? {
    let (list, age) = state.withLock { ($0.list, ContinuousClock.now - $0.readAt) }
    if let model = list?[reference] { return model }
    if list != nil, age < Self.missAge { throw .modelNotFound(reference) }
    guard let list = try? await refreshed() else { return nil }
    guard let model = list[reference] else { throw .modelNotFound(reference) }
    return model
  }

  /// The model that `reference` names, which must do `task`.
  ///
  /// nil if the registry cannot be asked: the services that run models know them too.
  func model(_ reference: String, for task: String) async throws(GatewayError) -> Model? {
    guard let model = try await model(reference) else { return nil }
    guard model.task == task else {
      throw .invalid(
        "model",
        "model_not_supported",
        "The model '\(reference.quotable)' is for \(model.task): it cannot be used for \(task)."
      )
    }
    return model
  }

  /// Reads the list anew.
  func refresh() async throws(RPCError) {
    let response = try await backends.registry.listModels(
      .init(),
      options: backends.callOptions
    )
    let list = ModelList(response.versions.map(Model.init))
    state.withLock { $0 = State(list: list, readAt: .now) }
  }

  private func refreshed() async throws(GatewayError) -> ModelList {
    do throws(RPCError) {
      try await refresh()
    } catch {
      throw GatewayError(error, from: "registry")
    }
    return state.withLock { $0.list } ?? ModelList([])
  }
}
