import Synchronization

/// The metrics of a process, exposed in the Prometheus text format.
///
/// ```swift
/// let requests = metrics.counter(
///   "llmos_tokenizer_requests", help: "Requests served.", labels: ["method"])
/// requests["encode"].add()
/// ```
/// Names follow Prometheus (`[a-zA-Z_:][a-zA-Z0-9_:]*`), so that vLLM's (`vllm:…`) are possible;
/// units are base units and part of the name (`_seconds`, `_bytes`). Asking twice for one name
/// gives the same metric.
package final class MetricsRegistry: Sendable {
  /// Most series of one metric; see ``CounterFamily``.
  package static let seriesMax = 1000
  /// Most metrics of a process.
  package static let metricsMax = 1000
  /// Buckets for durations of requests, in seconds: from 0.5 ms to a minute.
  package static let durationBuckets: [Double] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
  ]

  enum Metric: Sendable {
    case counter(MetricFamily<Counter>)
    case gauge(MetricFamily<Gauge>)
    case histogram(MetricFamily<Histogram>, bounds: [Double])
    case reading(Reading)
  }

  /// A metric whose values are read when it is exposed.
  struct Reading: Sendable {
    let name: String
    let help: String
    let type: String
    let labels: [String]
    let read: @Sendable () -> [(labels: [String], value: Double)]
  }

  private let metrics = Mutex<[String: Metric]>([:])

  /// Creates an empty registry.
  package init() {}

  /// A counter per combination of label values; `_total` ends its name and is added if absent.
  package func counter(
    _ name: String,
    help: String,
    labels: [String] = [],
    seriesMax: Int = seriesMax
  ) -> CounterFamily {
    let name = name.hasSuffix("_total") ? name : name + "_total"
    let metric = register(name, labels) {
      .counter(
        MetricFamily(name: name, help: help, labels: labels, seriesMax: seriesMax) {
          Counter(AtomicNumber())
        }
      )
    }
    guard case .counter(let family) = metric, family.labels == labels else {
      preconditionFailure("metric '\(name)' exists with another type or other labels")
    }
    return CounterFamily(family: family)
  }

  /// A gauge per combination of label values.
  package func gauge(
    _ name: String,
    help: String,
    labels: [String] = [],
    seriesMax: Int = seriesMax
  ) -> GaugeFamily {
    let metric = register(name, labels) {
      .gauge(
        MetricFamily(name: name, help: help, labels: labels, seriesMax: seriesMax) {
          Gauge(AtomicNumber())
        }
      )
    }
    guard case .gauge(let family) = metric, family.labels == labels else {
      preconditionFailure("metric '\(name)' exists with another type or other labels")
    }
    return GaugeFamily(family: family)
  }

  /// A histogram per combination of label values; `buckets` are upper bounds, rising and finite.
  package func histogram(
    _ name: String,
    help: String,
    labels: [String] = [],
    buckets: [Double] = durationBuckets,
    seriesMax: Int = seriesMax
  ) -> HistogramFamily {
    precondition(
      !buckets.isEmpty && buckets.allSatisfy(\.isFinite)
        && zip(buckets, buckets.dropFirst()).allSatisfy { $0 < $1 },
      "metric '\(name)': buckets \(buckets) do not rise"
    )
    precondition(!labels.contains("le"), "metric '\(name)': the label 'le' is taken")
    let metric = register(name, labels) {
      .histogram(
        MetricFamily(name: name, help: help, labels: labels, seriesMax: seriesMax) {
          Histogram(storage: HistogramStorage(bounds: buckets))
        },
        bounds: buckets
      )
    }
    guard case .histogram(let family, buckets) = metric, family.labels == labels else {
      preconditionFailure("metric '\(name)' exists with another type or other labels or buckets")
    }
    return HistogramFamily(family: family)
  }

  /// A gauge that is read when it is exposed; `read` is called on the admin endpoint's thread and
  /// must be quick.
  package func gauge(_ name: String, help: String, read: @escaping @Sendable () -> Double) {
    reading(name, help: help, type: "gauge", labels: []) { [([], read())] }
  }

  /// A gauge with labels that is read when it is exposed: value per combination of label values.
  package func gauge(
    _ name: String,
    help: String,
    labels: [String],
    read: @escaping @Sendable () -> [(labels: [String], value: Double)]
  ) {
    reading(name, help: help, type: "gauge", labels: labels, read: read)
  }

  /// A counter that is read when it is exposed, for counts kept elsewhere.
  package func counter(_ name: String, help: String, read: @escaping @Sendable () -> Double) {
    let name = name.hasSuffix("_total") ? name : name + "_total"
    reading(name, help: help, type: "counter", labels: []) { [([], read())] }
  }

  /// A counter with labels that is read when it is exposed: value per combination of label values.
  package func counter(
    _ name: String,
    help: String,
    labels: [String],
    read: @escaping @Sendable () -> [(labels: [String], value: Double)]
  ) {
    let name = name.hasSuffix("_total") ? name : name + "_total"
    reading(name, help: help, type: "counter", labels: labels, read: read)
  }

  private func reading(
    _ name: String,
    help: String,
    type: String,
    labels: [String],
    read: @escaping @Sendable () -> [(labels: [String], value: Double)]
  ) {
    Self.check(name, labels)
    metrics.withLock {
      precondition($0[name] == nil, "metric '\(name)' exists already")
      precondition($0.count < Self.metricsMax, "more than \(Self.metricsMax) metrics")
      $0[name] = .reading(
        Reading(name: name, help: help, type: type, labels: labels, read: read)
      )
    }
  }

  private func register(
    _ name: String,
    _ labels: [String],
    make: () -> Metric
  ) -> Metric {
    Self.check(name, labels)
    return metrics.withLock {
      if let found = $0[name] { return found }
      precondition($0.count < Self.metricsMax, "more than \(Self.metricsMax) metrics")
      let new = make()
      $0[name] = new
      return new
    }
  }

  private static func check(_ name: String, _ labels: [String]) {
    precondition(isName(name, colons: true), "metric name '\(name)' is malformed")
    for label in labels {
      precondition(
        isName(label, colons: false) && !label.hasPrefix("__"),
        "metric '\(name)': label '\(label)' is malformed"
      )
    }
    precondition(Set(labels).count == labels.count, "metric '\(name)': a label repeats")
  }

  private static func isName(_ name: String, colons: Bool) -> Bool {
    guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
    return name.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte)
        || (0x61...0x7a).contains(byte) || byte == UInt8(ascii: "_")
        || (colons && byte == UInt8(ascii: ":"))
    }
  }

  /// The metrics in the order of their names.
  var all: [Metric] {
    metrics.withLock { $0 }.sorted { $0.key < $1.key }.map(\.value)
  }
}

/// The counters of one name, by label values in the order of the declared labels.
///
/// At most ``MetricsRegistry/seriesMax`` combinations are kept apart; further ones are counted
/// together under the label value `other`. Keep the counter of a hot path instead of looking it up.
package struct CounterFamily: Sendable {
  let family: MetricFamily<Counter>

  /// The counter for these label values.
  package subscript(values: String...) -> Counter { family.series(values) }
  /// Adds to the counter without labels.
  package func add(_ amount: Double = 1) { family.series([]).add(amount) }
}

/// The gauges of one name, by label values; bounded as ``CounterFamily`` is.
package struct GaugeFamily: Sendable {
  let family: MetricFamily<Gauge>

  /// The gauge for these label values.
  package subscript(values: String...) -> Gauge { family.series(values) }
  /// Sets the gauge without labels.
  package func set(_ value: Double) { family.series([]).set(value) }
  /// Sets the gauge without labels to a count.
  package func set(_ value: Int) { family.series([]).set(value) }
  /// Adds to the gauge without labels.
  package func add(_ amount: Double = 1) { family.series([]).add(amount) }
  /// Forgets these label values, such as those of a replica that is gone.
  package func remove(_ values: String...) { family.remove(values) }
}

/// The histograms of one name, by label values; bounded as ``CounterFamily`` is.
package struct HistogramFamily: Sendable {
  let family: MetricFamily<Histogram>

  /// The histogram for these label values.
  package subscript(values: String...) -> Histogram { family.series(values) }
  /// Counts a value in the histogram without labels.
  package func observe(_ value: Double) { family.series([]).observe(value) }
  /// Counts a duration, in seconds, in the histogram without labels.
  package func observe(_ duration: Duration) { family.series([]).observe(duration) }
}
