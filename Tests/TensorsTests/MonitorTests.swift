import Tensors
import Testing

@Suite("Monitor", .timeLimit(.minutes(5)))
struct MonitorTests {
  @Test("a wait with a deadline ends at the deadline, or before it with a value")
  func deadlines() {
    let monitor = Monitor(0)
    let end = ContinuousClock.now + .milliseconds(20)
    let nothing = monitor.wait(until: end) { $0 > 0 ? $0 : nil }
    #expect(nothing == nil && ContinuousClock.now >= end)
    monitor.notify { $0 = 7 }
    #expect(monitor.wait(until: end) { $0 > 0 ? $0 : nil } == 7)
    #expect(monitor.wait { $0 > 0 ? $0 : nil } == 7)
  }
}
