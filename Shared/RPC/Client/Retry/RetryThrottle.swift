/// The tokens of ``RetryThrottling``, in thousandths.
struct RetryThrottle: Sendable {
  private let maximum: Int
  private let ratio: Int
  private(set) var tokens: Int

  init(_ policy: RetryThrottling) {
    maximum = min(max(policy.maxTokens, 1), 1000) * 1000
    // In this order what is no number counts as 0.
    ratio = Int(min(max(0, policy.tokenRatio), 1000) * 1000)
    tokens = maximum
  }

  /// Whether calls may be made again.
  var allowsRetry: Bool { tokens > maximum / 2 }

  mutating func failed() {
    tokens = max(0, tokens - 1000)
  }

  mutating func succeeded() {
    tokens = min(maximum, tokens + ratio)
  }
}
