import NIOCore
import Testing

@testable import RPC

/// Which attempts follow from which outcomes.
struct RetryStateTests {
  private static let policy = MethodConfig.RetryPolicy(
    maxAttempts: 4,
    initialBackoff: .milliseconds(100),
    maxBackoff: .milliseconds(250),
    backoffMultiplier: 2,
    retryableStatusCodes: [.unavailable]
  )
  private static let hedging = MethodConfig.HedgingPolicy(
    maxAttempts: 3,
    hedgingDelay: .milliseconds(20),
    nonFatalStatusCodes: [.unavailable]
  )

  private func retryState(_ policy: MethodConfig.RetryPolicy = Self.policy) -> RetryState {
    var state = RetryState(.retry(policy))
    _ = state.begin()
    return state
  }

  private func ended(
    _ state: inout RetryState,
    _ code: StatusCode? = .unavailable,
    pushback: RetryPushback? = nil,
    running: Bool = false,
    seed: UInt64 = 1
  ) -> RetryState.Decision {
    var throttle: RetryThrottle?
    return state.ended(
      code,
      pushback: pushback,
      running: running,
      throttle: &throttle,
      random: SeededGenerator(seed: seed)
    )
  }

  @Test func `without a policy the first outcome counts`() {
    var state = RetryState(nil)
    let previous = state.begin()
    #expect(previous == 0)
    #expect(ended(&state) == .settle)
    #expect(!state.mayBegin(nil))
  }

  @Test(arguments: 0..<50 as Range<UInt64>)
  func `waits grow to their bound and vary by a fifth`(seed: UInt64) throws {
    var state = retryState()
    for base in [100.0, 200, 250] {
      guard case .again(let delay) = ended(&state, seed: seed) else {
        Issue.record("no further attempt")
        return
      }
      let milliseconds = Double(delay.clampedNanoseconds) / 1e6
      #expect(milliseconds >= base * 0.8 - 0.001 && milliseconds <= base * 1.2 + 0.001)
      _ = state.begin()
    }
    #expect(ended(&state, seed: seed) == .settle)
  }

  @Test func `no policy makes more than five attempts`() {
    var policy = Self.policy
    policy.maxAttempts = 100
    var state = RetryState(.retry(policy))
    var attempts = 0
    repeat {
      _ = state.begin()
      attempts += 1
    } while ended(&state) != .settle
    #expect(attempts == 5)
  }

  @Test func `a status that is not listed is final`() {
    var state = retryState()
    #expect(ended(&state, .internal) == .settle)
  }

  @Test func `an attempt that ran out of its own time is made again`() {
    var state = retryState()
    #expect(ended(&state, nil) != .settle)
  }

  @Test func `the server's wait is kept to the millisecond and starts the back-off anew`() {
    var state = retryState()
    _ = ended(&state)
    _ = state.begin()
    #expect(ended(&state, pushback: .after(.milliseconds(7))) == .again(after: .milliseconds(7)))
    _ = state.begin()
    guard case .again(let delay) = ended(&state) else {
      Issue.record("no further attempt")
      return
    }
    #expect(delay <= .milliseconds(120))
  }

  @Test func `a server that wants no further attempt gets none`() {
    var state = retryState()
    #expect(ended(&state, pushback: .never) == .settle)
  }

  @Test(arguments: [
    ("0", RetryPushback.after(.zero)), ("15", .after(.milliseconds(15))), ("-1", .never),
    ("", .never), ("soon", .never), ("99999999999999999999", .never),
  ])
  func `a push-back is a number of milliseconds`(text: String, pushback: RetryPushback) {
    #expect(RetryPushback([HeaderField("grpc-retry-pushback-ms", text)]) == pushback)
    #expect(RetryPushback([]) == nil)
  }

  @Test func `half of the tokens stop retries, successes let them go on`() {
    var throttle: RetryThrottle? = RetryThrottle(RetryThrottling(maxTokens: 4, tokenRatio: 0.5))
    func attempt() -> RetryState.Decision {
      var state = retryState()
      return state.ended(
        .unavailable,
        pushback: nil,
        running: false,
        throttle: &throttle,
        random: SeededGenerator(seed: 1)
      )
    }
    #expect(attempt() != .settle)
    #expect(attempt() == .settle)
    #expect(throttle?.tokens == 2000)
    throttle?.succeeded()
    throttle?.succeeded()
    throttle?.succeeded()
    #expect(throttle?.tokens == 3500)
    #expect(attempt() != .settle)
  }

  @Test func `tokens stay between none and their most`() {
    var throttle = RetryThrottle(RetryThrottling(maxTokens: 2, tokenRatio: 1.9999))
    throttle.succeeded()
    #expect(throttle.tokens == 2000)
    for _ in 0..<5 { throttle.failed() }
    #expect(throttle.tokens == 0)
    throttle.succeeded()
    #expect(throttle.tokens == 1999)
  }

  @Test(arguments: [-Double.infinity, -1, .nan])
  func `a token ratio that is none gives nothing back`(ratio: Double) {
    var throttle = RetryThrottle(RetryThrottling(maxTokens: 2, tokenRatio: ratio))
    throttle.failed()
    throttle.succeeded()
    #expect(throttle.tokens == 1000)
  }

  @Test func `a back-off with negative bounds does not wait`() {
    var backoff = Backoff(initial: .seconds(-1), max: .seconds(-2))
    for _ in 0..<100 { #expect(backoff.delay() == .zero) }
  }

  // MARK: Hedging

  private func hedgingState(_ attempts: Int) -> RetryState {
    var state = RetryState(.hedge(Self.hedging))
    for _ in 0..<attempts { _ = state.begin() }
    return state
  }

  @Test func `a fatal status ends a hedged call`() {
    var state = hedgingState(1)
    #expect(ended(&state, .internal, running: true) == .settle)
  }

  @Test func `a status that is not fatal lets the next attempt begin at once`() {
    var state = hedgingState(1)
    #expect(ended(&state, running: true) == .again(after: .zero))
  }

  @Test func `the last of the attempts decides`() {
    var state = hedgingState(3)
    #expect(ended(&state, running: true) == .wait)
    #expect(ended(&state, running: false) == .settle)
  }

  @Test func `a server may delay or stop further attempts`() {
    var state = hedgingState(1)
    let later = ended(&state, pushback: .after(.seconds(2)), running: false)
    #expect(later == .again(after: .seconds(2)))
    _ = state.begin()
    #expect(ended(&state, pushback: .never, running: true) == .wait)
    #expect(!state.mayBegin(nil))
  }

  @Test func `a throttled channel does not hedge`() {
    var throttle: RetryThrottle? = RetryThrottle(RetryThrottling(maxTokens: 2, tokenRatio: 1))
    var state = hedgingState(1)
    let decision = state.ended(
      .unavailable,
      pushback: nil,
      running: true,
      throttle: &throttle,
      random: SeededGenerator(seed: 1)
    )
    #expect(decision == .wait)
  }

  // MARK: Configuration

  @Test func `the most exact name of a method counts`() {
    func config(_ seconds: Int, _ name: MethodConfig.Name) -> MethodConfig {
      MethodConfig(name: [name], timeout: .seconds(seconds))
    }
    let table = MethodConfigTable(
      ServiceConfig(methodConfig: [
        config(1, .init()), config(2, .init(service: "a.B")),
        config(3, .init(service: "a.B", method: "C")),
      ])
    )
    func timeout(_ service: String, _ method: String) -> Duration? {
      table[MethodDescriptor(service: service, method: method, kind: .unary)]?.timeout
    }
    #expect(timeout("a.B", "C") == .seconds(3))
    #expect(timeout("a.B", "D") == .seconds(2))
    #expect(timeout("a.C", "C") == .seconds(1))
    let none = MethodConfigTable(ServiceConfig())
    #expect(none[MethodDescriptor(service: "a", method: "b", kind: .unary)] == nil)
  }

  @Test func `a replay buffer keeps one message of any size, or several up to its bound`() {
    var buffer = ReplayBuffer(limit: 10)
    let large = buffer.append([UInt8](repeating: 0, count: 100))
    let second = buffer.append([1])
    #expect(large && !second)
    #expect(buffer.messages.isEmpty && !buffer.isComplete)
    var small = ReplayBuffer(limit: 10)
    for _ in 0..<10 { _ = small.append([1]) }
    #expect(small.messages.count == 10)
    let last = small.append([1])
    #expect(!last)
  }
}
