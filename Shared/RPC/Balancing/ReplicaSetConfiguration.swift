public import Logging

/// Where the replicas of a set are told and how they are connected.
public struct ReplicaSetConfiguration: Sendable {
  /// Where the endpoints are told.
  public var sources: [EndpointSource]
  /// The time between two looks at a source that may change.
  public var resolveInterval: Duration = .seconds(5)
  /// The same for files, which are cheap to read.
  public var fileInterval: Duration = .milliseconds(500)
  /// The least time between two looks, when failures ask for more.
  public var resolveGap: Duration = .milliseconds(100)
  /// The connections; their defaults find out within seconds that a replica is gone or back.
  public var channel: ChannelConfiguration
  /// How names and files are read.
  public var lookup = EndpointLookup.system
  /// How long a replica that answers UNAVAILABLE while it says that it serves is left alone the first time.
  public var suspensionInitial: Duration = .milliseconds(50)
  /// The longest that it is left alone.
  public var suspensionMax: Duration = .seconds(2)
  /// The first wait before a replica whose watch ended is asked again.
  public var watchInitial: Duration = .milliseconds(50)
  /// The longest such wait.
  public var watchMax: Duration = .seconds(1)
  /// Where replicas that come and go are logged.
  public var logger = Logger(label: "llmos.rpc.replicas")

  /// Creates the default configuration for replicas that `sources` tell.
  public init(_ sources: [EndpointSource]) {
    self.sources = sources
    channel = ChannelConfiguration()
    channel.connectTimeout = .seconds(3)
    channel.backoffInitial = .milliseconds(50)
    channel.backoffMax = .seconds(1)
    // A watch runs on each, so silence is asked about; a machine that computes may be late to answer. A replica that
    // hangs is noticed after both.
    channel.keepaliveInterval = .seconds(5)
    channel.keepaliveTimeout = .seconds(5)
  }

  var suspension: Backoff { Backoff(initial: suspensionInitial, max: suspensionMax) }
  var watchBackoff: Backoff { Backoff(initial: watchInitial, max: watchMax) }
}
