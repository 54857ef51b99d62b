import NIOCore

@testable import FuzzedRPC

/// Service configs with any numbers in them, and what servers say about further attempts.
enum ConfigFuzz {
  private static let codes = StatusCode.allCases

  static func config(_ bytes: [UInt8]) {
    var input = FuzzInput(bytes)
    let duration = input.duration()
    durations(duration)
    let policy = repetition(&input, duration)
    let throttling = RetryThrottling(maxTokens: input.integer(), tokenRatio: input.double())
    attempts(&input, policy, throttling)
    waits(&input, duration)
    names(&input, policy)
  }

  private static func durations(_ duration: Duration) {
    let bound: Int64 = 100 * 365 * 86_400 * 1_000_000_000
    precondition((-bound...bound).contains(duration.clampedNanoseconds), "\(duration)")
    _ = Deadline.after(duration).remaining
    let nanoseconds = UInt64(clamping: duration.clampedNanoseconds)
    let text = TimeoutHeader.encode(nanoseconds: nanoseconds)
    precondition(text.utf8.count <= 9, "'\(text)' is no timeout")
    precondition(TimeoutHeader.decode(text) ?? 0 >= nanoseconds, "\(nanoseconds) ns: '\(text)'")
  }

  private static func repetition(
    _ input: inout FuzzInput,
    _ duration: Duration
  ) -> MethodConfig.Repetition? {
    var some: Set<StatusCode> = []
    for _ in 0..<input.number(below: 4) { some.insert(codes[input.number(below: codes.count)]) }
    switch input.number(below: 3) {
    case 0: return nil
    case 1:
      return .retry(
        MethodConfig.RetryPolicy(
          maxAttempts: input.integer(),
          initialBackoff: duration,
          maxBackoff: input.duration(),
          backoffMultiplier: input.double(),
          retryableStatusCodes: some
        )
      )
    default:
      let attempts = input.integer()
      return .hedge(
        MethodConfig.HedgingPolicy(
          maxAttempts: attempts,
          hedgingDelay: duration,
          nonFatalStatusCodes: some
        )
      )
    }
  }

  private static func attempts(
    _ input: inout FuzzInput,
    _ policy: MethodConfig.Repetition?,
    _ throttling: RetryThrottling
  ) {
    var throttle: RetryThrottle? = RetryThrottle(throttling)
    if input.byte() & 3 == 0 { throttle = nil }
    var state = RetryState(policy)
    while true {
      _ = state.begin()
      precondition(state.begun <= MethodConfig.RetryPolicy.attemptsMax, "\(state.begun) attempts")
      let said = input.byte()
      let text = String(decoding: input.take(Int(said) % 12), as: UTF8.self)
      let decision = state.ended(
        said & 16 == 0 ? codes[input.number(below: codes.count)] : nil,
        pushback: said & 32 == 0 ? RetryPushback(text) : nil,
        running: said & 64 == 0,
        throttle: &throttle,
        random: RandomSource { 7 }
      )
      if let tokens = throttle?.tokens { precondition((0...1_000_000).contains(tokens)) }
      guard case .again(let delay) = decision else { break }
      precondition(delay >= .zero, "a wait of \(delay)")
    }
    throttle?.succeeded()
    if let tokens = throttle?.tokens { precondition((0...1_000_000).contains(tokens)) }
  }

  private static func waits(_ input: inout FuzzInput, _ duration: Duration) {
    let random = RandomSource { 7 }
    var backoff = Backoff(initial: duration, max: input.duration())
    for _ in 0..<20 { _ = backoff.delay(random) }
    var schedule = ResolutionSchedule(
      gap: duration,
      interval: input.byte() & 1 == 0 ? nil : input.duration()
    )
    var now = NIODeadline.uptimeNanoseconds(1)
    for _ in 0..<4 {
      schedule.asked(at: now)
      precondition(schedule.due != nil, "a look that is asked for is not due")
      schedule.began(at: now)
      precondition(schedule.due == nil, "a look is due while one runs")
      now = now + .seconds(Int64(input.byte()))
      schedule.ended(at: now, isSuccess: input.byte() & 1 == 0, random)
    }
  }

  private static func names(_ input: inout FuzzInput, _ repetition: MethodConfig.Repetition?) {
    var config = ServiceConfig()
    for _ in 0..<3 {
      let service = String(decoding: input.take(input.number(below: 4)), as: UTF8.self)
      let method = String(decoding: input.take(input.number(below: 4)), as: UTF8.self)
      let name = MethodConfig.Name(
        service: service.isEmpty ? nil : service,
        method: method.isEmpty ? nil : method
      )
      config.methodConfig.append(MethodConfig(name: [name], repetition: repetition))
    }
    let table = MethodConfigTable(config)
    for name in config.methodConfig.flatMap(\.name) {
      guard let service = name.service else { continue }
      let method = MethodDescriptor(service: service, method: name.method ?? "m", kind: .unary)
      precondition(table[method] != nil, "a method that is named has no configuration")
    }
  }
}

extension FuzzInput {
  /// Any number of 64 bits.
  fileprivate mutating func integer() -> Int {
    take(8).reduce(0) { $0 << 8 | Int($1) }
  }

  /// Any number, infinities and what is no number included.
  fileprivate mutating func double() -> Double {
    Double(bitPattern: UInt64(bitPattern: Int64(integer())))
  }

  /// Any duration; mostly a short one.
  fileprivate mutating func duration() -> Duration {
    let kind = byte()
    let value = Int64(integer())
    return switch kind & 3 {
    case 0: .milliseconds(value % 1_000_000)
    case 1: .nanoseconds(value)
    case 2: Duration(secondsComponent: value, attosecondsComponent: 0)
    default: Duration(secondsComponent: value, attosecondsComponent: Int64(integer()))
    }
  }
}
