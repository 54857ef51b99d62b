import Testing

@testable import Supervision

@Suite("Restart policy")
struct RestartPolicyTests {
  @Test("waits twice as long after each failure, up to the longest wait")
  func backsOff() {
    var policy = RestartPolicy()
    let delays = (0..<10).map { _ in policy.delay(afterUptime: .zero) }
    #expect(delays.first == RestartPolicy.initialDelay)
    for (one, next) in zip(delays, delays.dropFirst()) {
      #expect(next == min(one * 2, RestartPolicy.maximumDelay))
    }
    #expect(delays.last == RestartPolicy.maximumDelay)
  }

  @Test("forgets failures after a time of good service")
  func forgives() {
    var policy = RestartPolicy()
    for _ in 0..<5 { _ = policy.delay(afterUptime: .zero) }
    #expect(policy.delay(afterUptime: RestartPolicy.forgivenAfter) == RestartPolicy.initialDelay)
  }
}
