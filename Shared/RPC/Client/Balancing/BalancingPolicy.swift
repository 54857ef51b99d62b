/// What a policy says about a call.
enum Pick: Sendable, Hashable {
  /// It goes to the endpoint of that id.
  case endpoint(Int)
  /// It waits until an endpoint's state changes.
  case wait
  /// No endpoint is connected and none will be soon.
  case fail
}

/// Chooses the endpoint of each call.
///
/// A state machine without connections or clocks: the channel tells it what happens to the
/// endpoints, connects those that it wants, and asks it for each attempt.
protocol BalancingPolicy: Sendable {
  /// The list changed; tells of the first list as well.
  mutating func updated(_ table: EndpointTable, _ random: inout some RandomNumberGenerator)

  /// The state of one endpoint changed, or outlier detection ejected it or took it back.
  mutating func changed(_ id: Int, _ table: EndpointTable)

  /// The endpoint of an attempt whose request has that hash, if it has one.
  mutating func pick(
    hash: UInt64?,
    _ table: EndpointTable,
    _ random: inout some RandomNumberGenerator
  ) -> Pick

  /// Whether the endpoint is to have a connection.
  func wants(_ entry: EndpointTable.Entry) -> Bool

  /// Whether the connections of an endpoint that is not wanted end.
  var closesUnwanted: Bool { get }

  /// Whether `timePassed` is to be called after ``BalancingLimits/connectionDelay``.
  func awaitsTime(_ table: EndpointTable) -> Bool

  /// The delay has passed.
  mutating func timePassed(_ table: EndpointTable)
}

extension BalancingPolicy {
  var closesUnwanted: Bool { false }
  func awaitsTime(_ table: EndpointTable) -> Bool { false }
  mutating func timePassed(_ table: EndpointTable) {}
}

/// Figures of the policies.
enum BalancingLimits {
  /// How long one endpoint's connection attempt runs before the next one's begins beside it
  /// (RFC 8305, 5).
  static let connectionDelay = Duration.milliseconds(250)
}

/// How the calls of a channel are spread over its endpoints.
public enum LoadBalancing: Sendable, Hashable {
  /// All to one: the first that can be connected (gRFC A62); with `shuffle` the list is put in a
  /// random order first.
  case pickFirst(shuffle: Bool = false)
  /// To each in turn.
  case roundRobin
  /// To the one with the fewest calls outstanding of `choices` taken at random, 2 to 10 (gRFC A48).
  case leastRequest(choices: Int = 2)
  /// By the hash of a request's header on a ring (gRFC A42): equal values go to one endpoint as long
  /// as it is there, and few move when another comes or goes.
  case ringHash(RingHash = RingHash())

  /// How the ring is made and asked.
  public struct RingHash: Sendable, Hashable {
    /// What both sizes are capped at.
    public static let sizeMax = 8 * 1024 * 1024

    /// The fewest entries; more when the weights ask for it.
    public var minRingSize: Int
    /// The most entries; gRPC clients cap it at 4096 unless told otherwise.
    public var maxRingSize: Int
    /// The metadata whose value is hashed; a call without it, or every call when nil, has a random
    /// hash.
    public var requestHashHeader: String?

    /// Creates a configuration with gRPC's defaults.
    public init(
      minRingSize: Int = 1024,
      maxRingSize: Int = 4096,
      requestHashHeader: String? = nil
    ) {
      self.minRingSize = minRingSize
      self.maxRingSize = maxRingSize
      self.requestHashHeader = requestHashHeader
    }
  }

  /// Whether all calls go to one endpoint.
  var isPickFirst: Bool {
    if case .pickFirst = self { return true }
    return false
  }

  /// The metadata that the policy hashes.
  var hashHeader: String? {
    guard case .ringHash(let ring) = self else { return nil }
    return ring.requestHashHeader?.lowercased()
  }

  func makePolicy() -> any BalancingPolicy {
    switch self {
    case .pickFirst(let shuffle): PickFirst(shuffles: shuffle)
    case .roundRobin: RoundRobin()
    case .leastRequest(let choices): LeastRequest(choices: choices)
    case .ringHash(let ring): RingHashPolicy(ring)
    }
  }
}
