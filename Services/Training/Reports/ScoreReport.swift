internal import FoundationEssentials
internal import Glibc

/// Scores of all classes and their averages, printed as scikit-learn and seqeval print them.
package struct ScoreReport: Sendable, Equatable, Codable {
  /// The classes, in the order of the report.
  package var classes: [NamedScores]
  /// The averages in the order of the report: "micro avg" or "accuracy", "macro avg", "weighted
  /// avg".
  package var averages: [NamedScores]
  /// The share of tokens whose tag is right.
  package var accuracy: Double
  /// Whether the supports are printed with a decimal place: scikit-learn's counts turn into floats
  /// when not one prediction is right.
  package var isSupportFractional = false

  /// The scores over all classes together: what is called F1 for short.
  package var micro: Scores? { averages.first?.scores }

  /// The scores of one class.
  package func scores(of name: String) -> Scores? {
    classes.first { $0.name.utf8.elementsEqual(name.utf8) }?.scores
  }

  /// The table, with `digits` decimal places (at most `ReportLimits.digitsMax`).
  package func text(digits: Int = 3) -> String {
    let digits = min(max(digits, 0), ReportLimits.digitsMax)
    let width = classes.reduce(max("weighted avg".count, digits)) {
      max($0, $1.name.unicodeScalars.count)
    }
    var lines = [
      Self.line("", ["precision", "recall", "f1-score", "support"], width), "",
    ]
    let suffix = isSupportFractional ? ".0" : ""
    func append(_ row: NamedScores) {
      let scores = row.scores
      var cells = [scores.precision, scores.recall, scores.f1].map { $0.fixed(digits) }
      if row.name == Self.accuracyName { cells.replaceSubrange(..<2, with: ["", ""]) }
      lines.append(Self.line(row.name, cells + ["\(scores.support)\(suffix)"], width))
    }
    classes.forEach(append)
    lines.append("")
    averages.forEach(append)
    return lines.joined(separator: "\n") + "\n"
  }

  static let accuracyName = "accuracy"
  private static let cellWidth = 9

  private static func line(_ name: String, _ cells: [String], _ width: Int) -> String {
    cells.reduce(name.padded(width) + " ") { $0 + " " + $1.padded(cellWidth) }
  }

  /// The report as a JSON object; numbers are written so that they read back to the same bits.
  package var json: String { jsonText(self) }
}

/// A value as JSON with its keys in order.
func jsonText(_ value: some Encodable) -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  // Fails for numbers that are not finite only; reports have none.
  return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
}

extension String {
  /// Spaces before it up to `width` scalars, as Python's `{:>width}`.
  func padded(_ width: Int) -> String {
    String(repeating: " ", count: max(0, width - unicodeScalars.count)) + self
  }
}

extension Double {
  /// With `digits` decimal places; the exact value is rounded, halves to even, as in Python.
  func fixed(_ digits: Int) -> String { formatted("%.*f", digits) }

  /// With `digits` significant digits, large and small ones with an exponent.
  func significant(_ digits: Int) -> String { formatted("%.*g", digits) }

  private func formatted(_ format: String, _ digits: Int) -> String {
    // The longest double has 309 digits before the point.
    let text = [CChar](unsafeUninitializedCapacity: 512) { buffer, count in
      guard let start = buffer.baseAddress else { return }
      let length = withVaList([Int32(digits), self]) { vsnprintf(start, buffer.count, format, $0) }
      count = max(0, min(Int(length), buffer.count - 1))
    }
    return String(decoding: text.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
