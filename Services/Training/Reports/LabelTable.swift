/// Numbers for labels, in the order in which they are first seen.
///
/// Labels are compared by their scalars, as Python does: Swift's `==` takes composed and decomposed
/// characters for the same.
struct LabelTable: Sendable {
  /// The labels by number.
  private(set) var labels: [String] = []
  private var numbers: [Key: Int] = [:]

  private struct Key: Hashable {
    let text: String

    static func == (left: Key, right: Key) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    func hash(into hasher: inout Hasher) {
      for byte in text.utf8 { hasher.combine(byte) }
    }
  }

  /// The number of a label, a new one if need be; throws `limitExceeded`.
  mutating func number(of label: String) throws(ReportError) -> Int {
    if let number = numbers[Key(text: label)] { return number }
    guard labels.count < ReportLimits.labelsMax else {
      throw ReportError(
        .limitExceeded,
        "report: over \(ReportLimits.labelsMax) different labels"
      )
    }
    numbers[Key(text: label)] = labels.count
    labels.append(label)
    return labels.count - 1
  }

  /// The number of a label that has one.
  func known(_ label: String) -> Int? { numbers[Key(text: label)] }

  /// The numbers of all labels, in the order of their scalars.
  var sorted: [Int] {
    // The order of UTF-8 is that of the scalars.
    labels.indices.sorted { labels[$0].utf8.lexicographicallyPrecedes(labels[$1].utf8) }
  }
}
