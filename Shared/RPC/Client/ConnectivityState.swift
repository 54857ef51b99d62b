/// What a subchannel can do for a call (gRPC's connectivity-semantics-and-api.md).
enum ConnectivityState: Sendable, Hashable {
  /// There is no connection and none is asked for.
  case idle
  /// The first connection is being made.
  case connecting
  /// A connection takes calls.
  case ready
  /// The last attempt to connect failed; the next one waits.
  case transientFailure
  /// Closed for good.
  case shutdown
}
