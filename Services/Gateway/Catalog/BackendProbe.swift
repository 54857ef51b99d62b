import RPC
import ServiceAPI
import ServiceKit

/// Asks the services behind the gateway, all the time, whether they serve; a gateway is ready when
/// they all do and a replica of the inference service does, which says so by itself.
struct BackendProbe: Sendable {
  /// Time between two rounds.
  static let interval: Duration = .seconds(1)

  let backends: Backends
  let health: HealthRegistry
  /// The longest time a service may take to answer; longer counts as not serving.
  let timeout: Duration

  /// Makes the gateway unready until the first round.
  func begin() {
    for (name, _) in backends.channels { health.setReadiness(name, failure: "not asked yet") }
  }

  /// Asks until the task is cancelled.
  func run() async {
    while !Task.isCancelled {
      await round()
      try? await Task.sleep(for: Self.interval)
    }
  }

  /// Asks every service once, all at the same time.
  func round() async {
    await withTaskGroup(of: Void.self) { group in
      for (name, channel) in backends.channels {
        group.addTask {
          let failure = await failure(of: channel)
          if !Task.isCancelled { health.setReadiness(name, failure: failure) }
        }
      }
    }
  }

  /// Why the server behind `channel` does not serve; nil if it does.
  private func failure(of channel: RPCChannel) async -> String? {
    do {
      let client = HealthV1.HealthClient(channel)
      let answer = try await client.check(.init(), options: CallOptions(timeout: timeout))
      return answer.status == .serving ? nil : "answers \(answer.status)"
    } catch {
      return "\(error.code): \(error.message)"
    }
  }
}
