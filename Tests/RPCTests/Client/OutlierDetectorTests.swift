import NIOCore
import Testing

@testable import RPC

/// Which endpoints are ejected, and for how long, on a clock of the test.
struct OutlierDetectorTests {
  private struct Driver {
    var detector: OutlierDetector
    var random = SeededGenerator(seed: 1)
    var now = NIODeadline.uptimeNanoseconds(0)

    init(_ configuration: OutlierDetection, _ count: Int) {
      detector = OutlierDetector(configuration)
      detector.update(Array(0..<count))
    }

    mutating func record(_ id: Int, good: Int, bad: Int) {
      for _ in 0..<good { detector.record(id, isSuccess: true) }
      for _ in 0..<bad { detector.record(id, isSuccess: false) }
    }

    mutating func end() -> [OutlierDetector.Change] {
      now = now + .seconds(10)
      return detector.intervalEnded(at: now, &random)
    }
  }

  private static var byFailures: OutlierDetection {
    var configuration = OutlierDetection(failurePercentageEjection: .init())
    configuration.maxEjectionPercent = 50
    return configuration
  }

  @Test func `an endpoint that fails most calls is ejected, and comes back`() {
    var driver = Driver(Self.byFailures, 5)
    for id in 0..<5 { driver.record(id, good: id == 2 ? 5 : 50, bad: id == 2 ? 45 : 0) }
    #expect(driver.end() == [.init(id: 2, isEjected: true)])
    #expect(driver.end().isEmpty)
    #expect(driver.end().isEmpty)
    #expect(driver.end() == [.init(id: 2, isEjected: false)])
  }

  @Test func `each ejection is longer than the last, up to the most`() {
    var configuration = Self.byFailures
    configuration.maxEjectionTime = .seconds(70)
    var driver = Driver(configuration, 5)
    var lengths: [Int] = []
    for _ in 0..<4 {
      for id in 0..<5 { driver.record(id, good: id == 2 ? 0 : 50, bad: id == 2 ? 50 : 0) }
      #expect(driver.end() == [.init(id: 2, isEjected: true)])
      var length = 1
      while driver.end().isEmpty { length += 1 }
      lengths.append(length)
    }
    #expect(lengths == [3, 6, 7, 7])
  }

  @Test func `intervals without an ejection make the next one shorter`() {
    var driver = Driver(Self.byFailures, 5)
    func fail(_ driver: inout Driver) -> Int {
      for id in 0..<5 { driver.record(id, good: id == 2 ? 0 : 50, bad: id == 2 ? 50 : 0) }
      _ = driver.end()
      var length = 1
      while driver.end().isEmpty { length += 1 }
      return length
    }
    #expect(fail(&driver) == 3)
    _ = driver.end()
    #expect(fail(&driver) == 3)
    #expect(fail(&driver) == 6)
  }

  @Test func `too few calls or endpoints decide nothing`() {
    var driver = Driver(Self.byFailures, 5)
    for id in 0..<5 { driver.record(id, good: 0, bad: 49) }
    #expect(driver.end().isEmpty)
    for id in 0..<4 { driver.record(id, good: 0, bad: 100) }
    #expect(driver.end().isEmpty)
  }

  @Test func `no more than a part is ejected, but one may always be`() {
    var driver = Driver(Self.byFailures, 6)
    for id in 0..<6 { driver.record(id, good: 0, bad: 50) }
    #expect(driver.end().map(\.id) == [0, 1, 2])
    var small = Driver(OutlierDetection(failurePercentageEjection: .init()), 5)
    for id in 0..<5 { small.record(id, good: 0, bad: 50) }
    #expect(small.end().map(\.id) == [0])
  }

  @Test func `an endpoint well below the others' success rate is ejected`() {
    var configuration = OutlierDetection(successRateEjection: .init())
    configuration.maxEjectionPercent = 50
    var driver = Driver(configuration, 10)
    for id in 0..<10 { driver.record(id, good: id == 7 ? 60 : 99, bad: id == 7 ? 40 : 1) }
    #expect(driver.end() == [.init(id: 7, isEjected: true)])
    var even = Driver(configuration, 10)
    for id in 0..<10 { even.record(id, good: 60, bad: 40) }
    #expect(even.end().isEmpty)
  }

  @Test func `a rule that is not enforced ejects none`() {
    var rule = OutlierDetection.FailurePercentage()
    rule.enforcementPercentage = 0
    var driver = Driver(OutlierDetection(failurePercentageEjection: rule), 5)
    for id in 0..<5 { driver.record(id, good: 0, bad: 50) }
    #expect(driver.end().isEmpty)
  }

  @Test func `what is gone is forgotten`() {
    var driver = Driver(Self.byFailures, 5)
    for id in 0..<5 { driver.record(id, good: id == 2 ? 0 : 50, bad: id == 2 ? 50 : 0) }
    #expect(driver.end().count == 1)
    driver.detector.update([0, 1, 3, 4, 5])
    driver.record(2, good: 1, bad: 1)
    for _ in 0..<5 { #expect(driver.end().isEmpty) }
  }
}
