import RPC
package import ServiceAPI
import ServiceLifecycle

/// What the registry tells of its aliases.
package enum AliasEvent: Sendable {
  /// All there are, at the beginning of a connection.
  case all([RegistryV1.AliasTarget])
  /// Those that changed; version 0: removed.
  case changed([RegistryV1.AliasTarget])
  /// Changes are not told any more until the next `all`.
  case disconnected
}

/// Watches the registry's aliases for as long as the service runs; connects again by itself.
package struct AliasWatch: Service {
  /// The wait before a second attempt, which doubles with each failure.
  static let retryInitial: Duration = .milliseconds(100)
  /// The longest wait between two attempts.
  static let retryMax: Duration = .seconds(5)

  private let registry: RegistryV1.RegistryClient
  private let onEvent: @Sendable (AliasEvent) async -> Void

  /// A watch that hands each event to `onEvent`, one after another.
  package init(
    registry: RegistryV1.RegistryClient,
    onEvent: @escaping @Sendable (AliasEvent) async -> Void
  ) {
    self.registry = registry
    self.onEvent = onEvent
  }

  /// Watches until the graceful shutdown, or until the task is cancelled.
  package func run() async throws {
    await cancelWhenGracefulShutdown { await watch() }
  }

  private func watch() async {
    var failures = 0
    while !Task.isCancelled {
      if await connection() { failures = 0 }
      try? await Task.sleep(for: Self.delay(afterFailures: failures))
      failures += 1
    }
  }

  /// One connection from its beginning to its end; whether it told anything.
  private func connection() async -> Bool {
    var isConnected = false
    do throws(RPCError) {
      let responses = try await registry.watchAliases(
        .init(),
        options: CallOptions(readyTimeout: Self.retryMax)
      )
      for try await response in responses {
        await onEvent(isConnected ? .changed(response.aliases) : .all(response.aliases))
        isConnected = true
      }
    } catch {
      // It ends like this whenever the registry is started again; the channel logs that.
    }
    if isConnected { await onEvent(.disconnected) }
    return isConnected
  }

  /// Half to all of a time that doubles with each failure, so that clients do not come all at once.
  static func delay(afterFailures failures: Int) -> Duration {
    let doublings = min(failures, 16)
    let bound = min(retryMax, retryInitial * (1 << doublings))
    return bound * Double.random(in: 0.5...1)
  }
}
