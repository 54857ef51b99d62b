/// How many calls may begin: `burst` at once, `perSecond` in the long run.
public struct CallRate: Sendable, Equatable {
  /// Calls per second in the long run; above zero.
  public var perSecond: Double
  /// Calls at once; at least one.
  public var burst: Int

  /// Creates a rate.
  public init(perSecond: Double, burst: Int) {
    precondition(perSecond > 0 && burst >= 1, "call rate: \(perSecond) per second, burst \(burst)")
    self.perSecond = perSecond
    self.burst = burst
  }
}

/// Bounds of the calls that a server takes, over all its connections; a call above one ends with
/// RESOURCE_EXHAUSTED and `grpc-retry-pushback-ms` (gRFC A6) before it reaches a handler.
public struct CallLimits: Sendable, Equatable {
  /// Calls at once, those whose handlers still run included; nil for any number.
  public var concurrentCalls: Int?
  /// The same for single methods, by path such as `/package.Service/Method`.
  public var concurrentCallsOfMethods: [String: Int] = [:]
  /// Calls that begin, of all clients together; nil for any rate.
  public var rate: CallRate?
  /// Calls that begin, of each client: by its certificate's name, else by its address.
  public var ratePerPeer: CallRate?
  /// Clients whose rate is kept apart; while there are more, newcomers share one rate.
  public var peersMax = 10_000
  /// When a client is told to try again after too many calls at once.
  public var pushback: Duration = .milliseconds(100)
  /// Services without bounds: a probe must not fail because a server is busy.
  public var exemptServices: Set<String> = ["grpc.health.v1.Health"]

  /// Creates limits that bound nothing.
  public init() {}

  var isEmpty: Bool {
    concurrentCalls == nil && concurrentCallsOfMethods.isEmpty && rate == nil && ratePerPeer == nil
  }
}
