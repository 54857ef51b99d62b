/// What a server says about another attempt: `grpc-retry-pushback-ms` (gRFC A6, "Pushback").
enum RetryPushback: Sendable, Hashable {
  /// Not before that time, and then at once.
  case after(Duration)
  /// Not at all: the value was negative or no number.
  case never

  static let header = "grpc-retry-pushback-ms"

  init(_ text: String) {
    if let value = Int32(text), value >= 0 {
      self = .after(.milliseconds(Int64(value)))
    } else {
      self = .never
    }
  }

  /// What trailers say; nil when they say nothing.
  init?(_ trailers: [HeaderField]) {
    guard let text = trailers.first(Self.header) else { return nil }
    self.init(text)
  }
}

/// Which attempts a call makes, by its policy (gRFC A6).
///
/// Knows no connection and no clock: it says what is to happen, the call does it. Attempts that no
/// server has seen ("transparent" retries) do not pass through here.
struct RetryState: Sendable {
  /// What follows from the end of an attempt.
  enum Decision: Sendable, Hashable {
    /// Its outcome is the call's.
    case settle
    /// The next attempt begins after that time; a timer that runs already is replaced.
    case again(after: Duration)
    /// Other attempts are still to end.
    case wait
  }

  /// Each wait varies by that part.
  static let jitter = 0.2

  private let policy: MethodConfig.Repetition?
  /// Attempts that have begun.
  private(set) var begun = 0
  private var retriesSincePushback = 0
  /// Whether a server asked for no further attempt.
  private var isStopped = false

  init(_ policy: MethodConfig.Repetition?) {
    self.policy = policy
  }

  /// An attempt begins; returns how many began before it.
  mutating func begin() -> Int {
    begun += 1
    return begun - 1
  }

  /// Whether there may be another attempt, with what the channel's throttle says.
  func mayBegin(_ throttle: RetryThrottle?) -> Bool {
    begun < maxAttempts && !isStopped && throttle?.allowsRetry ?? true
  }

  /// How long one attempt may wait for its response.
  var receiveTimeout: Duration? {
    guard case .retry(let policy) = policy else { return nil }
    return policy.perAttemptReceiveTimeout
  }

  /// The wait between an attempt's begin and the next one's; nil when the call does not hedge.
  var hedgingDelay: Duration? {
    guard case .hedge(let policy) = policy else { return nil }
    return policy.hedgingDelay
  }

  private var maxAttempts: Int {
    switch policy {
    case nil: 1
    case .retry(let policy): min(policy.maxAttempts, MethodConfig.RetryPolicy.attemptsMax)
    case .hedge(let policy): min(policy.maxAttempts, MethodConfig.RetryPolicy.attemptsMax)
    }
  }

  /// An attempt ended before its response began.
  ///
  /// `code` is its status, nil for one that ran out of its own time; `running` says whether others
  /// run.
  mutating func ended(
    _ code: StatusCode?,
    pushback: RetryPushback?,
    running: Bool,
    throttle: inout RetryThrottle?,
    random: some RandomNumberGenerator
  ) -> Decision {
    switch policy {
    case nil: return .settle
    case .retry(let policy):
      let isRetryable = code.map(policy.retryableStatusCodes.contains) ?? true
      if isRetryable || pushback == .never { throttle?.failed() }
      guard isRetryable, pushback != .never, mayBegin(throttle) else { return .settle }
      if case .after(let time) = pushback {
        retriesSincePushback = 0
        return .again(after: time)
      }
      defer { retriesSincePushback += 1 }
      return .again(after: Self.vary(policy.backoff(after: retriesSincePushback), random))
    case .hedge(let policy):
      guard let code, policy.nonFatalStatusCodes.contains(code) else {
        if pushback == .never { throttle?.failed() }
        return .settle
      }
      throttle?.failed()
      if pushback == .never { isStopped = true }
      guard mayBegin(throttle) else { return running ? .wait : .settle }
      if case .after(let time) = pushback { return .again(after: time) }
      return .again(after: .zero)
    }
  }

  private static func vary(_ delay: Duration, _ random: some RandomNumberGenerator) -> Duration {
    var random = random
    let factor = Double.random(in: (1 - jitter)...(1 + jitter), using: &random)
    return .nanoseconds(Int64(Double(delay.clampedNanoseconds) * factor))
  }
}
