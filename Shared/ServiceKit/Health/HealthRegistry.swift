import Synchronization

/// Whether this process, and each service in it, is able to serve; the one source of `/livez`,
/// `/readyz` and `grpc.health.v1`.
///
/// A process is serving when it has started, is not draining, and no readiness check fails.
/// All methods may be called from any thread.
package final class HealthRegistry: Sendable {
  /// Most watchers at a time.
  package static let watchersMax = 1024

  /// How far the process is in its life.
  package enum Phase: String, Sendable {
    /// Parts are being built; may become `ready` or `draining`.
    case starting
    /// Requests are served; may become `draining`.
    case ready
    /// Running requests end, new ones go elsewhere; final.
    case draining
  }

  /// What a client is told about a service.
  package enum ServingStatus: Sendable, Hashable {
    /// The service takes requests.
    case serving
    /// The service is known but takes no requests now.
    case notServing
    /// No service of that name is here.
    case unknown
  }

  /// The result of one check.
  package struct CheckResult: Sendable, Hashable {
    /// The check's name.
    package var name: String
    /// Why it fails, on one line; nil if it passes.
    package var failure: String?

    /// Creates a result.
    package init(name: String, failure: String?) {
      self.name = name
      self.failure = failure
    }
  }

  private struct Watcher: Sendable {
    let service: String
    let continuation: AsyncStream<ServingStatus>.Continuation
    var last: ServingStatus
  }

  private struct State: Sendable {
    var phase = Phase.starting
    var services: [String: Bool] = [:]
    /// Readiness checks that were ever set, with the reason of those that fail.
    var checks: [String: String?] = [:]
    var livenessChecks: [String: @Sendable () -> String?] = [:]
    var watchers: [UInt64: Watcher] = [:]
    var nextWatcher: UInt64 = 0

    func status(of service: String) -> ServingStatus {
      guard service.isEmpty || services[service] != nil else { return .unknown }
      let ready = phase == .ready && checks.values.allSatisfy { $0 == nil }
      return ready && services[service] ?? true ? .serving : .notServing
    }

    /// Tells watchers what changed; yielding only stores the newest status, so that it is safe
    /// under the lock.
    mutating func notify() {
      for (id, watcher) in watchers {
        let status = status(of: watcher.service)
        guard status != watcher.last else { continue }
        watchers[id]?.last = status
        watcher.continuation.yield(status)
      }
    }
  }

  private let state = Mutex(State())

  /// Creates a registry in the phase `starting`, with no checks and no services.
  package init() {}

  /// How far the process is in its life.
  package var phase: Phase { state.withLock { $0.phase } }

  /// Makes services known, by their full names such as `llmos.tokenizer.v1.Tokenizer`.
  package func add(services: [String]) {
    state.withLock {
      for service in services where $0.services[service] == nil { $0.services[service] = true }
      $0.notify()
    }
  }

  /// Takes one service in or out while the process as a whole keeps serving.
  package func set(_ service: String, serving: Bool) {
    state.withLock {
      $0.services[service] = serving
      $0.notify()
    }
  }

  /// Sets a readiness check: `failure` says on one line why it fails, nil that it passes.
  package func setReadiness(_ check: String, failure: String?) {
    state.withLock {
      $0.checks[check] = .some(failure)
      $0.notify()
    }
  }

  /// Adds a liveness check: it returns why the process must be restarted (such as an engine thread
  /// that stopped making steps), or nil.
  ///
  /// It is called on the admin endpoint's thread, so it must
  /// not wait.
  package func addLiveness(_ check: String, _ test: @escaping @Sendable () -> String?) {
    state.withLock { $0.livenessChecks[check] = test }
  }

  /// Marks the start as done; without effect once draining.
  package func markReady() {
    state.withLock {
      guard $0.phase == .starting else { return }
      $0.phase = .ready
      $0.notify()
    }
  }

  /// Marks the process as draining; watchers are told so and their streams end.
  package func markDraining() {
    let watchers = state.withLock { state in
      guard state.phase != .draining else { return [Watcher]() }
      state.phase = .draining
      state.notify()
      let watchers = Array(state.watchers.values)
      state.watchers = [:]
      return watchers
    }
    // Outside the lock: finishing calls the stream's termination handler.
    for watcher in watchers { watcher.continuation.finish() }
  }

  /// The present status of a service; the empty name asks for the process as a whole.
  package func status(of service: String) -> ServingStatus {
    state.withLock { $0.status(of: service) }
  }

  /// All readiness checks by name, the process's phase first.
  package func readiness() -> [CheckResult] {
    state.withLock { state in
      let phase = CheckResult(
        name: "phase",
        failure: state.phase == .ready ? nil : state.phase.rawValue
      )
      return [phase]
        + state.checks.sorted { $0.key < $1.key }
        .map { CheckResult(name: $0.key, failure: $0.value) }
    }
  }

  /// All liveness checks by name, run now.
  package func liveness() -> [CheckResult] {
    state.withLock { $0.livenessChecks }.sorted { $0.key < $1.key }
      .map { CheckResult(name: $0.key, failure: $0.value()) }
  }

  /// The status of a service now and after every change, the newest only if the reader is slow.
  ///
  /// The stream ends after the process began draining; nil if there are too many watchers.
  package func watch(_ service: String) -> AsyncStream<ServingStatus>? {
    let (stream, continuation) = AsyncStream.makeStream(
      of: ServingStatus.self,
      bufferingPolicy: .bufferingNewest(1)
    )
    let id = state.withLock { state -> UInt64? in
      guard state.watchers.count < Self.watchersMax else { return nil }
      let status = state.status(of: service)
      continuation.yield(status)
      if state.phase == .draining {
        continuation.finish()
      } else {
        state.watchers[state.nextWatcher] = Watcher(
          service: service,
          continuation: continuation,
          last: status
        )
      }
      state.nextWatcher += 1
      return state.nextWatcher - 1
    }
    guard let id else { return nil }
    continuation.onTermination = { [weak self] _ in
      self?.state.withLock { _ = $0.watchers.removeValue(forKey: id) }
    }
    return stream
  }
}
