extension MethodConfig {
  /// How a call that failed is made again (gRFC A6, "Retry Policy").
  public struct RetryPolicy: Sendable, Hashable {
    /// What `maxAttempts` is capped at, whatever a policy says.
    public static let attemptsMax = 5

    /// Attempts in all, the first included; between 2 and ``attemptsMax``.
    public var maxAttempts: Int
    /// The wait before the first retry.
    public var initialBackoff: Duration
    /// The longest wait.
    public var maxBackoff: Duration
    /// What the wait is multiplied by with each retry; every wait varies by a fifth at random.
    public var backoffMultiplier: Double
    /// The statuses after which a call may be made again.
    public var retryableStatusCodes: Set<StatusCode>
    /// How long one attempt may wait for its response to begin before the next one follows.
    ///
    /// nil: as long as the call.
    public var perAttemptReceiveTimeout: Duration?

    /// Creates a policy.
    public init(
      maxAttempts: Int,
      initialBackoff: Duration,
      maxBackoff: Duration,
      backoffMultiplier: Double = 2,
      retryableStatusCodes: Set<StatusCode>,
      perAttemptReceiveTimeout: Duration? = nil
    ) {
      self.maxAttempts = maxAttempts
      self.initialBackoff = initialBackoff
      self.maxBackoff = maxBackoff
      self.backoffMultiplier = backoffMultiplier
      self.retryableStatusCodes = retryableStatusCodes
      self.perAttemptReceiveTimeout = perAttemptReceiveTimeout
    }

    /// The wait after `retries` retries since the start or the last push-back, before it is varied.
    func backoff(after retries: Int) -> Duration {
      let bound = max(0, Double(maxBackoff.clampedNanoseconds))
      var delay = min(Double(initialBackoff.clampedNanoseconds), bound)
      for _ in 0..<min(retries, Self.attemptsMax) { delay = min(delay * backoffMultiplier, bound) }
      return .nanoseconds(Int64(max(0, delay)))
    }
  }

  /// How a call is made several times at once (gRFC A6, "Hedging Policy").
  public struct HedgingPolicy: Sendable, Hashable {
    /// Attempts in all, the first included; between 2 and ``RetryPolicy/attemptsMax``.
    public var maxAttempts: Int
    /// The wait before each further attempt while none has answered; zero: all at once.
    public var hedgingDelay: Duration
    /// The statuses of one attempt that do not end the others, but let the next one begin at once.
    public var nonFatalStatusCodes: Set<StatusCode>

    /// Creates a policy.
    public init(
      maxAttempts: Int,
      hedgingDelay: Duration = .zero,
      nonFatalStatusCodes: Set<StatusCode> = []
    ) {
      self.maxAttempts = maxAttempts
      self.hedgingDelay = hedgingDelay
      self.nonFatalStatusCodes = nonFatalStatusCodes
    }
  }
}

/// When a channel stops to retry and hedge because too many calls fail (gRFC A6, "Throttling").
///
/// A channel has `maxTokens` at first; each failure takes one, each success gives `tokenRatio` back.
/// With half of them or less no call is made again.
public struct RetryThrottling: Sendable, Hashable {
  /// The most tokens; between 1 and 1000.
  public var maxTokens: Int
  /// What a success gives back; counted in thousandths.
  public var tokenRatio: Double

  /// Creates a policy.
  public init(maxTokens: Int, tokenRatio: Double) {
    self.maxTokens = maxTokens
    self.tokenRatio = tokenRatio
  }
}
