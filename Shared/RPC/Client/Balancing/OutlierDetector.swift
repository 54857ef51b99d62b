import NIOCore

/// Counts how calls end and says which endpoints are ejected (gRFC A50).
///
/// A state machine without a clock: the channel tells it of the end of each interval.
struct OutlierDetector: Sendable {
  private struct Record: Sendable {
    var successes = 0
    var failures = 0
    /// Ejections of late: each makes the next one longer, each interval without takes one back.
    var multiplier = 0
    var ejectedAt: NIODeadline?

    var volume: Int { successes + failures }
    var successRate: Double { volume == 0 ? 1 : Double(successes) / Double(volume) }
    var isEjected: Bool { ejectedAt != nil }
  }

  /// What changes for an endpoint.
  struct Change: Sendable, Hashable {
    let id: Int
    let isEjected: Bool
  }

  private let configuration: OutlierDetection
  private var records: [Int: Record] = [:]

  /// The time between two calls of `intervalEnded`.
  var interval: Duration { configuration.interval }

  init(_ configuration: OutlierDetection) {
    self.configuration = configuration
  }

  /// The endpoints are these; what is known of others is forgotten.
  mutating func update(_ ids: [Int]) {
    var known: [Int: Record] = [:]
    for id in ids { known[id] = records[id] ?? Record() }
    records = known
  }

  /// An attempt on an endpoint ended.
  mutating func record(_ id: Int, isSuccess: Bool) {
    if isSuccess { records[id]?.successes += 1 } else { records[id]?.failures += 1 }
  }

  /// An interval ended: what changes.
  mutating func intervalEnded(
    at now: NIODeadline,
    _ random: inout some RandomNumberGenerator
  ) -> [Change] {
    // In a set order, so that equal draws lead to equal ejections.
    let ids = records.keys.sorted()
    let before = records
    var changes: [Change] = []
    if let rule = configuration.successRateEjection {
      changes += ejectBySuccessRate(rule, ids, now, &random)
    }
    if let rule = configuration.failurePercentageEjection {
      changes += ejectByFailures(rule, ids, now, &random)
    }
    for id in ids {
      guard var record = records[id] else { continue }
      record.successes = 0
      record.failures = 0
      // An ejection of this interval neither ends nor fades in it.
      if before[id]?.isEjected == record.isEjected, let change = relax(id, &record, now) {
        changes.append(change)
      }
      records[id] = record
    }
    return changes
  }

  private func relax(_ id: Int, _ record: inout Record, _ now: NIODeadline) -> Change? {
    guard let since = record.ejectedAt else {
      record.multiplier = max(0, record.multiplier - 1)
      return nil
    }
    let base = configuration.baseEjectionTime.clampedNanoseconds
    let most = max(base, configuration.maxEjectionTime.clampedNanoseconds)
    let (time, isHuge) = base.multipliedReportingOverflow(by: Int64(record.multiplier))
    let length = TimeAmount.nanoseconds(isHuge ? most : min(time, most))
    guard since + length <= now else { return nil }
    record.ejectedAt = nil
    return Change(id: id, isEjected: false)
  }

  private mutating func ejectBySuccessRate(
    _ rule: OutlierDetection.SuccessRate,
    _ ids: [Int],
    _ now: NIODeadline,
    _ random: inout some RandomNumberGenerator
  ) -> [Change] {
    let rates = ids.compactMap { id -> (id: Int, rate: Double)? in
      guard let record = records[id], record.volume >= max(1, rule.requestVolume) else {
        return nil
      }
      return (id, record.successRate)
    }
    guard rates.count >= max(1, rule.minimumHosts) else { return [] }
    let mean = rates.reduce(0) { $0 + $1.rate } / Double(rates.count)
    let variance =
      rates.reduce(0) { $0 + ($1.rate - mean) * ($1.rate - mean) } / Double(rates.count)
    let bound = mean - variance.squareRoot() * Double(rule.stdevFactor) / 1000
    var changes: [Change] = []
    for (id, rate) in rates {
      guard mayEject else { break }
      guard rate < bound, drawn(rule.enforcementPercentage, &random) else { continue }
      if let change = eject(id, now) { changes.append(change) }
    }
    return changes
  }

  private mutating func ejectByFailures(
    _ rule: OutlierDetection.FailurePercentage,
    _ ids: [Int],
    _ now: NIODeadline,
    _ random: inout some RandomNumberGenerator
  ) -> [Change] {
    let counted = ids.filter { records[$0]?.volume ?? 0 >= max(1, rule.requestVolume) }
    guard counted.count >= max(1, rule.minimumHosts) else { return [] }
    var changes: [Change] = []
    for id in counted {
      guard mayEject else { break }
      guard let record = records[id], !record.isEjected else { continue }
      let percentage = 100 * (1 - record.successRate)
      guard percentage > Double(rule.threshold), drawn(rule.enforcementPercentage, &random) else {
        continue
      }
      if let change = eject(id, now) { changes.append(change) }
    }
    return changes
  }

  /// Whether less than the bound is ejected; one endpoint may always be.
  private var mayEject: Bool {
    let ejected = records.values.count { $0.isEjected }
    return 100 * ejected < configuration.maxEjectionPercent * records.count
  }

  private func drawn(_ percentage: Int, _ random: inout some RandomNumberGenerator) -> Bool {
    Int.random(in: 0..<100, using: &random) < percentage
  }

  private mutating func eject(_ id: Int, _ now: NIODeadline) -> Change? {
    guard records[id]?.isEjected == false else { return nil }
    records[id]?.ejectedAt = now
    records[id]?.multiplier += 1
    return Change(id: id, isEjected: true)
  }
}
