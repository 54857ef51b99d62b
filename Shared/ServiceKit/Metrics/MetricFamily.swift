import Synchronization

/// One number that many threads change without a lock.
final class AtomicNumber: Sendable {
  private let bits = Atomic<UInt64>(0)

  var value: Double {
    get { Double(bitPattern: bits.load(ordering: .relaxed)) }
    set { bits.store(newValue.bitPattern, ordering: .relaxed) }
  }

  func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

  func add(_ amount: Double) {
    var old = bits.load(ordering: .relaxed)
    while true {
      let new = (Double(bitPattern: old) + amount).bitPattern
      let result = bits.weakCompareExchange(
        expected: old,
        desired: new,
        ordering: .relaxed
      )
      if result.exchanged { return }
      old = result.original
    }
  }
}

/// The series of one metric: a value per combination of label values.
///
/// The number of series is bounded, because label values may come from requests: beyond the bound,
/// new combinations share one series whose labels all read `other`.
final class MetricFamily<Series: Sendable>: Sendable {
  let name: String
  let help: String
  let labels: [String]
  private let seriesMax: Int
  private let make: @Sendable () -> Series
  private let series = Mutex<[[String]: Series]>([:])

  init(
    name: String,
    help: String,
    labels: [String],
    seriesMax: Int,
    make: @escaping @Sendable () -> Series
  ) {
    self.name = name
    self.help = help
    self.labels = labels
    self.seriesMax = seriesMax
    self.make = make
    // A metric without labels is exposed from the start, at zero.
    if labels.isEmpty { series.withLock { $0[[]] = make() } }
  }

  func series(_ values: [String]) -> Series {
    precondition(
      values.count == labels.count,
      "metric '\(name)': labels \(labels), values \(values)"
    )
    return series.withLock { series in
      if let found = series[values] { return found }
      let key =
        series.count < seriesMax ? values : Array(repeating: "other", count: labels.count)
      if let found = series[key] { return found }
      let new = make()
      series[key] = new
      return new
    }
  }

  func remove(_ values: [String]) {
    series.withLock { $0[values] = nil }
  }

  var all: [(labels: [String], series: Series)] {
    series.withLock { $0.map { ($0.key, $0.value) } }
      .sorted { $0.0.lexicographicallyPrecedes($1.0) }
  }
}

/// A number that only grows, such as requests served.
package struct Counter: Sendable {
  private let number: AtomicNumber

  init(_ number: AtomicNumber) { self.number = number }

  /// Adds `amount`, which is not negative; from any thread, without a lock.
  package func add(_ amount: Double = 1) {
    precondition(amount >= 0, "a counter cannot fall by \(-amount)")
    number.add(amount)
  }

  /// Adds a count.
  package func add(_ amount: Int) { add(Double(amount)) }

  /// The present value.
  package var value: Double { number.value }
}

/// A number that rises and falls, such as requests running.
package struct Gauge: Sendable {
  private let number: AtomicNumber

  init(_ number: AtomicNumber) { self.number = number }

  /// Sets the value; from any thread, without a lock.
  package func set(_ value: Double) { number.set(value) }
  /// Sets the value to a count.
  package func set(_ value: Int) { number.set(Double(value)) }
  /// Adds `amount`, which may be negative.
  package func add(_ amount: Double = 1) { number.add(amount) }
  /// The present value.
  package var value: Double { number.value }
}

/// The distribution of observed values over fixed buckets, such as request durations.
package struct Histogram: Sendable {
  let storage: HistogramStorage

  /// Counts `value`, unless it is NaN; from any thread, under a short lock.
  package func observe(_ value: Double) { storage.observe(value) }

  /// Counts a duration in seconds, the base unit of Prometheus.
  package func observe(_ duration: Duration) { storage.observe(duration.inSeconds) }
}

final class HistogramStorage: Sendable {
  struct State: Sendable {
    /// Observations per bucket, not cumulative; the last one is beyond every bound.
    var counts: [UInt64]
    var sum = 0.0
  }

  let bounds: [Double]
  private let state: Mutex<State>

  init(bounds: [Double]) {
    self.bounds = bounds
    state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
  }

  func observe(_ value: Double) {
    guard !value.isNaN else { return }
    let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
    state.withLock {
      $0.counts[bucket] += 1
      $0.sum += value
    }
  }

  var snapshot: State { state.withLock { $0 } }
}

extension Duration {
  /// The duration in seconds.
  package var inSeconds: Double {
    let (seconds, attoseconds) = components
    return Double(seconds) + Double(attoseconds) * 1e-18
  }
}
