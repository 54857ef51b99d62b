/// What a channel or one of its endpoints can do for a call (gRPC's connectivity-semantics-and-api.md).
public enum ConnectivityState: Sendable, Hashable {
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

/// What a channel is about.
public struct ChannelStatus: Sendable, Hashable {
  /// One of the servers that the channel's target stands for.
  public struct EndpointStatus: Sendable, Hashable {
    /// Where it is.
    public let endpoint: Endpoint
    /// What it can do for a call; with health checking, as far as it says that it serves.
    public let state: ConnectivityState
    /// Whether outlier detection keeps calls from it.
    public let isEjected: Bool
    /// Attempts that were given to it and are not over.
    public let outstanding: Int
  }

  /// The best state of an endpoint: what a call that begins now finds.
  public let state: ConnectivityState
  /// The endpoints in the order of the list.
  public let endpoints: [EndpointStatus]
  /// Calls that have begun and are not over.
  public let outstandingCalls: Int
}

extension ChannelStatus {
  /// Describes the endpoints of a table.
  init(_ table: EndpointTable, outstandingCalls: Int, isClosed: Bool) {
    endpoints = table.entries.map {
      EndpointStatus(
        endpoint: $0.endpoint,
        state: $0.state,
        isEjected: $0.isEjected,
        outstanding: $0.outstanding
      )
    }
    self.outstandingCalls = outstandingCalls
    let states = Set(endpoints.map(\.state))
    let order: [ConnectivityState] = [.ready, .connecting, .idle, .transientFailure]
    state = isClosed ? .shutdown : order.first(where: states.contains) ?? .idle
  }
}
