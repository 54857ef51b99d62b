import ModelAccess
import RPC
import ServiceAPI
import ServiceKit
import Synchronization

/// The registry's models, kept for a moment: a chat costs two internal calls, not three.
///
/// Requests are answered by one version each: the services behind are asked for `name@version`. When a name that
/// requests use comes to mean another version, they go on with the one before until the services have loaded the new
/// one, and for as long as they cannot.
///
/// Callable from any task. While the registry does not answer, the last list goes on to serve.
final class ModelCatalog: Sendable {
  /// How long what was read counts.
  struct Ages: Sendable {
    /// A list older than this is read anew by the next request.
    var list: Duration = .seconds(2)
    /// The same while the registry tells of changes.
    var followedList: Duration = .seconds(30)
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
    /// Readings begun, and the one that the list is from: a late answer does not replace a newer one.
    var readsBegun = 0
    var readNumber = 0
    /// Whether the registry tells of changes.
    var isFollowing = false
    var served = ServedVersions()
    /// Versions that the services are made to load, by pinned name.
    var swaps: [String: Task<Void, Never>] = [:]
    var isClosed = false

    var age: Duration { ContinuousClock.now - readAt }
  }

  private let backends: Backends
  private let ages: Ages
  private let report: @Sendable (ModelSwapEvent) -> Void
  private let state = Mutex(State())

  /// `report` is told of swaps, on any thread.
  init(
    _ backends: Backends,
    ages: Ages = Ages(),
    report: @escaping @Sendable (ModelSwapEvent) -> Void = { _ in }
  ) {
    self.backends = backends
    self.ages = ages
    self.report = report
  }

  /// All models.
  func list() async throws(GatewayError) -> ModelList {
    let (known, renews) = state.withLock { state -> (ModelList?, Bool) in
      let age = state.isFollowing ? ages.followedList : ages.list
      let renews = state.list != nil && state.age >= age && !state.isRenewing
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

  /// The version that answers requests for `reference`, which must do `task`.
  ///
  /// nil if the registry cannot be asked: the services that run models know them too.
  func model(_ reference: String, for task: String) async throws(GatewayError) -> Model? {
    guard let target = try await model(reference) else { return nil }
    let model = state.withLock { $0.served.model(reference, target: target) }
    guard model.task == task else {
      throw .invalid(
        "model",
        "model_not_supported",
        "The model '\(reference.quotable)' is for \(model.task): it cannot be used for \(task)."
      )
    }
    return model
  }

  /// The same, for handlers that need to know the model.
  func requiredModel(_ reference: String, for task: String) async throws(GatewayError) -> Model {
    guard let model = try await model(reference, for: task) else {
      throw GatewayError(
        .unavailable,
        "The registry service is not available. Please try again later."
      )
    }
    return model
  }

  private func read(_ options: CallOptions) async throws(GatewayError) -> ModelList {
    let number = state.withLock { state in
      state.readsBegun += 1
      return state.readsBegun
    }
    do throws(RPCError) {
      let response = try await backends.registry.listModels(.init(), options: options)
      let list = ModelList(response.versions.map(Model.init))
      keep(list, number)
      return list
    } catch {
      throw GatewayError(error, from: "registry")
    }
  }

  private func keep(_ list: ModelList, _ number: Int) {
    state.withLock { state in
      guard number > state.readNumber, !state.isClosed else { return }
      state.list = list
      state.readNumber = number
      state.readAt = .now
      state.served.forget(missingFrom: list)
      for target in state.served.successors(in: list) where state.swaps[target.pinned] == nil {
        state.swaps[target.pinned] = Task { await self.swap(to: target) }
      }
    }
  }
}

// MARK: - Swaps

extension ModelCatalog {
  /// The longest that the services may take to load a version.
  private static let loadTimeout: Duration = .seconds(600)
  /// The longest that reading the list after a change may take.
  private static let followTimeout: Duration = .seconds(30)
  /// The waits between attempts to load a version: the first, which doubles up to the last.
  private static let retryInitial: Duration = .seconds(1)
  private static let retryMax: Duration = .seconds(60)

  /// Takes in what the registry tells of its aliases.
  func follow(_ event: AliasEvent) async {
    if case .disconnected = event {
      state.withLock { $0.isFollowing = false }
      return
    }
    // Nobody waits for this read, so it may take longer than one that holds a request up.
    let options = CallOptions(timeout: Self.followTimeout, readyTimeout: Self.followTimeout)
    let isRead = (try? await read(options)) != nil
    // What was told and could not be read is asked for as if it had not been told.
    state.withLock { $0.isFollowing = isRead }
  }

  /// Ends the swaps under way; no new one begins.
  func close() {
    let swaps = state.withLock { state in
      defer { state.swaps = [:] }
      state.isClosed = true
      return state.swaps.values
    }
    for swap in swaps { swap.cancel() }
  }

  /// Makes the services load a version, until they have or no name means it any more; from then on it answers.
  private func swap(to target: Model) async {
    var wait = Self.retryInitial
    while !Task.isCancelled, isAwaited(target) {
      let began = ContinuousClock.now
      do {
        // The request that read the list does not wait for this.
        try await Deadline.$current.withValue(nil) { try await load(target.pinned) }
        guard !Task.isCancelled else { return }
        state.withLock { state in
          if let list = state.list { state.served.adopt(target, in: list) }
          state.swaps[target.pinned] = nil
        }
        report(
          .loaded(
            model: target.name,
            version: target.version,
            ContinuousClock.now - began
          )
        )
        return
      } catch {
        guard !Task.isCancelled else { return }
        report(.failed(model: target.name, version: target.version, error))
      }
      try? await Task.sleep(for: wait * Double.random(in: 0.5...1))
      wait = min(wait * 2, Self.retryMax)
    }
  }

  /// Whether names mean a version that does not answer them yet; otherwise its swap ends here.
  private func isAwaited(_ target: Model) -> Bool {
    state.withLock { state in
      let isAwaited =
        state.list.map { list in
          state.served.successors(in: list).contains { $0.pinned == target.pinned }
        } ?? false
      if !isAwaited { state.swaps[target.pinned] = nil }
      return isAwaited
    }
  }

  private func load(_ model: String) async throws {
    let options = CallOptions(timeout: Self.loadTimeout, readyTimeout: backends.readyTimeout)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { [tokenizer = backends.tokenizer] in
        var request = TokenizerV1.LoadModelRequest()
        request.model = model
        _ = try await tokenizer.loadModel(request, options: options)
      }
      group.addTask { [inference = backends.inference] in
        try await inference.load(model, timeout: Self.loadTimeout)
      }
      try await group.waitForAll()
    }
  }
}
