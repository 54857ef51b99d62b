/// When an endpoint that fails calls gets none for a while (gRFC A50).
///
/// At the end of each interval the endpoints with enough calls are compared; one that stands out is
/// ejected for `baseEjectionTime`, times the ejections that it had of late.
public struct OutlierDetection: Sendable, Hashable {
  /// Ejects endpoints that succeed less often than the others.
  public struct SuccessRate: Sendable, Hashable {
    /// How many thousandths of a standard deviation below the mean of all success rates are bad.
    public var stdevFactor: Int
    /// The part of those endpoints that is ejected, in percent.
    public var enforcementPercentage: Int
    /// The fewest endpoints with enough calls.
    public var minimumHosts: Int
    /// The fewest calls of an endpoint within an interval for it to count.
    public var requestVolume: Int

    /// Creates a rule with gRPC's defaults.
    public init(
      stdevFactor: Int = 1900,
      enforcementPercentage: Int = 100,
      minimumHosts: Int = 5,
      requestVolume: Int = 100
    ) {
      self.stdevFactor = stdevFactor
      self.enforcementPercentage = enforcementPercentage
      self.minimumHosts = minimumHosts
      self.requestVolume = requestVolume
    }
  }

  /// Ejects endpoints that fail more than a part of their calls.
  public struct FailurePercentage: Sendable, Hashable {
    /// The part in percent above which an endpoint is bad.
    public var threshold: Int
    /// The part of those endpoints that is ejected, in percent.
    public var enforcementPercentage: Int
    /// The fewest endpoints with enough calls.
    public var minimumHosts: Int
    /// The fewest calls of an endpoint within an interval for it to count.
    public var requestVolume: Int

    /// Creates a rule with gRPC's defaults.
    public init(
      threshold: Int = 85,
      enforcementPercentage: Int = 100,
      minimumHosts: Int = 5,
      requestVolume: Int = 50
    ) {
      self.threshold = threshold
      self.enforcementPercentage = enforcementPercentage
      self.minimumHosts = minimumHosts
      self.requestVolume = requestVolume
    }
  }

  /// The time between two looks at the endpoints.
  public var interval: Duration = .seconds(10)
  /// How long the first ejection takes.
  public var baseEjectionTime: Duration = .seconds(30)
  /// The longest ejection.
  public var maxEjectionTime: Duration = .seconds(300)
  /// The part of the endpoints, in percent, from which on no further one is ejected.
  public var maxEjectionPercent = 10
  /// The first rule; nil: not applied.
  public var successRateEjection: SuccessRate?
  /// The second rule; nil: not applied.
  public var failurePercentageEjection: FailurePercentage?

  /// Creates a configuration with gRPC's defaults and the rules given.
  public init(
    successRateEjection: SuccessRate? = nil,
    failurePercentageEjection: FailurePercentage? = nil
  ) {
    self.successRateEjection = successRateEjection
    self.failurePercentageEjection = failurePercentageEjection
  }
}
