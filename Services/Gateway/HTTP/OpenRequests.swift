import Synchronization

/// The requests of all connections that wait for an answer, so that the gateway's end can be told to their clients.
final class OpenRequests: Sendable {
  private struct State {
    var watches: [ObjectIdentifier: ClientWatch] = [:]
    /// What ended them; those that come later end at once.
    var error: GatewayError?
  }

  private let state = Mutex(State())

  func insert(_ watch: ClientWatch) {
    let error = state.withLock { state in
      if state.error == nil { state.watches[ObjectIdentifier(watch)] = watch }
      return state.error
    }
    if let error { watch.fire(error) }
  }

  func remove(_ watch: ClientWatch) {
    state.withLock { _ = $0.watches.removeValue(forKey: ObjectIdentifier(watch)) }
  }

  /// Ends all of them with `error`.
  func end(_ error: GatewayError) {
    let watches = state.withLock { state in
      defer { state.watches = [:] }
      state.error = error
      return state.watches.values
    }
    for watch in watches { watch.fire(error) }
  }
}

extension GatewayError {
  /// The gateway ends before the answer was complete.
  static let shutDown = GatewayError(
    .unavailable,
    "The gateway was shut down before the answer was complete. Please retry the request."
  )
}
