import Supervision
import Testing

@Suite struct ServiceOutageTests {
  private let begin = ContinuousClock.now

  /// Notes a failure of an attempt, both so many seconds after the beginning.
  private func fails(_ outage: inout ServiceOutage, at time: Int, after attempt: Int? = nil) -> Bool
  {
    outage.isBearable(
      at: begin.advanced(by: .seconds(time)),
      after: begin.advanced(by: .seconds(attempt ?? time))
    )
  }

  @Test func `A service may be away for a minute from its first failure`() {
    var outage = ServiceOutage()
    // Nothing came for an hour before.
    #expect(fails(&outage, at: 3_600, after: 0))
    #expect(fails(&outage, at: 3_659))
    #expect(!fails(&outage, at: 3_660))
  }

  @Test func `Every connection begins the minute again`() {
    var outage = ServiceOutage()
    #expect(fails(&outage, at: 0))
    outage.end()
    #expect(fails(&outage, at: 59))
    #expect(fails(&outage, at: 118))
    // One that was silent but held.
    #expect(fails(&outage, at: 500, after: 119))
    #expect(fails(&outage, at: 559))
    #expect(!fails(&outage, at: 560))
  }

  @Test func `Attempts to connect that take long are no connections`() {
    var outage = ServiceOutage()
    let times = stride(from: 0, to: 60, by: 10)
    #expect(times.allSatisfy { fails(&outage, at: $0 + 9, after: $0) })
    #expect(!fails(&outage, at: 69, after: 60))
  }
}
