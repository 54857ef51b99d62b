/// The Prometheus text exposition format, version 0.0.4.
/// https://prometheus.io/docs/instrumenting/exposition_formats/
extension MetricsRegistry {
  /// The content type of ``exposition()``.
  package static let expositionType = "text/plain; version=0.0.4; charset=utf-8"

  /// All metrics with their present values, ordered by name and labels.
  package func exposition() -> String {
    var text = ""
    for metric in all {
      switch metric {
      case .counter(let family):
        Self.header(family.name, family.help, "counter", to: &text)
        for (values, counter) in family.all {
          Self.sample(family.name, family.labels, values, counter.value, to: &text)
        }
      case .gauge(let family):
        Self.header(family.name, family.help, "gauge", to: &text)
        for (values, gauge) in family.all {
          Self.sample(family.name, family.labels, values, gauge.value, to: &text)
        }
      case .histogram(let family, let bounds):
        Self.header(family.name, family.help, "histogram", to: &text)
        for (values, histogram) in family.all {
          Self.append(family, values, histogram.storage.snapshot, bounds, to: &text)
        }
      case .reading(let reading):
        Self.header(reading.name, reading.help, reading.type, to: &text)
        for (values, value) in reading.read().prefix(Self.seriesMax)
        where values.count == reading.labels.count {
          Self.sample(reading.name, reading.labels, values, value, to: &text)
        }
      }
    }
    return text
  }

  private static func append(
    _ family: MetricFamily<Histogram>,
    _ values: [String],
    _ state: HistogramStorage.State,
    _ bounds: [Double],
    to text: inout String
  ) {
    let labels = family.labels + ["le"]
    var total: UInt64 = 0
    for (index, count) in state.counts.enumerated() {
      total += count
      let bound = index < bounds.count ? number(bounds[index]) : "+Inf"
      sample("\(family.name)_bucket", labels, values + [bound], Double(total), to: &text)
    }
    sample("\(family.name)_sum", family.labels, values, state.sum, to: &text)
    sample("\(family.name)_count", family.labels, values, Double(total), to: &text)
  }

  private static func header(
    _ name: String,
    _ help: String,
    _ type: String,
    to text: inout String
  ) {
    text += "# HELP \(name) \(escape(help, quotes: false))\n# TYPE \(name) \(type)\n"
  }

  private static func sample(
    _ name: String,
    _ labels: [String],
    _ values: [String],
    _ value: Double,
    to text: inout String
  ) {
    text += name
    if !labels.isEmpty {
      text += "{"
      for (index, (label, value)) in zip(labels, values).enumerated() {
        text += index == 0 ? "" : ","
        text += "\(label)=\"\(escape(value, quotes: true))\""
      }
      text += "}"
    }
    text += " \(number(value))\n"
  }

  private static func escape(_ text: String, quotes: Bool) -> String {
    guard text.utf8.contains(where: { $0 == 0x5c || $0 == 0x0a || $0 == 0x22 }) else {
      return text
    }
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// A number as Go's ParseFloat, which Prometheus uses, reads it; whole numbers without a point.
  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    // Beyond 2^53 not every whole number is one of the type; leave the spelling to it.
    if value == value.rounded(), abs(value) < 9_007_199_254_740_992 {
      return String(Int64(value))
    }
    return value.description
  }
}
