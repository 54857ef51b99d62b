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
    /// No other entity of the process has it.
    public let id: Int
    /// Where it is.
    public let endpoint: Endpoint
    /// What it can do for a call; with health checking, as far as it says that it serves.
    public let state: ConnectivityState
    /// Whether outlier detection keeps calls from it.
    public let isEjected: Bool
    /// Attempts that were given to it and are not over.
    public let outstanding: Int
    /// Attempts that had a stream of it.
    public let calls: CallCounts
    /// Its connections.
    public let connections: [ConnectionStatus]
  }

  /// No other entity of the process has it.
  public let id: Int
  /// What it connects to.
  public let target: String
  /// The best state of an endpoint: what a call that begins now finds.
  public let state: ConnectivityState
  /// The endpoints in the order of the list.
  public let endpoints: [EndpointStatus]
  /// Calls that have begun and are not over.
  public let outstandingCalls: Int
  /// The calls of the channel's user.
  public let calls: CallCounts
}

extension ChannelStatus.EndpointStatus {
  init(_ entry: EndpointTable.Entry, _ subchannel: Subchannel?) {
    id = subchannel?.entityID ?? 0
    endpoint = entry.endpoint
    state = entry.state
    isEjected = entry.isEjected
    outstanding = entry.outstanding
    calls = subchannel?.counts ?? CallCounts()
    connections = subchannel?.connectionStatuses ?? []
  }
}
