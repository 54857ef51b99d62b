import RPC
import ServiceAPI
import ServiceKit
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
/// Callable from any task. While the registry does not answer, the last list goes on to serve.
final class ModelCatalog: Sendable {
  /// How long what was read counts.
  struct Ages: Sendable {
    /// A list older than this is read anew by the next request.
    var list: Duration = .seconds(2)
    /// A list younger than this is not read anew for the sake of an unknown name.
    var miss: Duration = .milliseconds(250)
  }

  /// The longest that renewing a list may hold a request up.
  static let renewalTimeout: Duration = .seconds(1)

  private struct State {
    var list: ModelList?
    /// When the list was read, or could not be.
    var readAt = ContinuousClock.now
    /// A request renews the list; others use the old one meanwhile.
    var isRenewing = false

    var age: Duration { ContinuousClock.now - readAt }
  }

  private let backends: Backends
  private let ages: Ages
  private let state = Mutex(State())

  init(_ backends: Backends, ages: Ages = Ages()) {
    self.backends = backends
    self.ages = ages
  }

  /// All models.
  func list() async throws(GatewayError) -> ModelList {
    let (known, renews) = state.withLock { state -> (ModelList?, Bool) in
      let renews = state.list != nil && state.age >= ages.list && !state.isRenewing
      if renews { state.isRenewing = true }
      return (state.list, renews)
    }
    guard let known else { return try await read(backends.callOptions) }
    guard renews else { return known }
    defer { state.withLock { $0.isRenewing = false } }
    // The call fails at once where there is no connection: an old list is better than a wait.
    if let list = try? await read(.inheriting(timeout: Self.renewalTimeout)) { return list }
    state.withLock { $0.readAt = .now }
    return known
  }

  /// What a client's name for a model means; nil if the registry cannot be asked and the name is
  /// not in the list.
  ///
  /// Throws `modelNotFound` if there is no such model.
  func model(_ reference: String) async throws(GatewayError) -> Model? {
    guard let list = try? await list() else { return nil }
    if let model = list[reference] { return model }
    if state.withLock({ $0.age }) < ages.miss { throw .modelNotFound(reference) }
    guard let list = try? await read(backends.callOptions) else { return nil }
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

  private func read(_ options: CallOptions) async throws(GatewayError) -> ModelList {
    do throws(RPCError) {
      let response = try await backends.registry.listModels(.init(), options: options)
      let list = ModelList(response.versions.map(Model.init))
      state.withLock {
        $0.list = list
        $0.readAt = .now
      }
      return list
    } catch {
      throw GatewayError(error, from: "registry")
    }
  }
}
