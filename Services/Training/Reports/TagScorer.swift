/// Counts how often each label was predicted for each, in memory that depends on the labels alone:
/// per-label scores as scikit-learn reports them, accuracy, confusion matrix.
package struct TagScorer: Sendable {
  private var table = LabelTable()
  /// By actual label << 32 | predicted label.
  private var pairs: [UInt64: Int] = [:]
  private var rightTokens = 0
  /// How many predictions have been counted.
  package private(set) var tokens = 0

  /// Creates a scorer that has counted nothing.
  package init() {}

  /// Counts one prediction; throws `limitExceeded` for more labels than `ReportLimits.labelsMax`.
  package mutating func add(actual: String, predicted: String) throws(ReportError) {
    let a = try table.number(of: actual)
    let p = try table.number(of: predicted)
    pairs[UInt64(a) << 32 | UInt64(p), default: 0] += 1
    tokens += 1
    rightTokens += a == p ? 1 : 0
  }

  /// Counts a sequence of predictions.
  /// - Throws: `invalidArgument` for sequences of different lengths, `limitExceeded`.
  package mutating func add(
    actual: some Collection<String>,
    predicted: some Collection<String>
  ) throws(ReportError) {
    guard actual.count == predicted.count else {
      throw ReportError(
        .invalidArgument,
        "tags: \(actual.count) labels, \(predicted.count) predictions"
      )
    }
    for (a, p) in zip(actual, predicted) { try add(actual: a, predicted: p) }
  }

  /// The share of predictions that are right; 0 of none.
  package var accuracy: Double { tokens == 0 ? 0 : Double(rightTokens) / Double(tokens) }

  /// The report that `sklearn.metrics.classification_report(…, zero_division=0)` gives.
  ///
  /// `labels` are those to report, in this order, for example all but "O"; nil for all, in the
  /// order of their characters. When one that occurs is left out, the micro average takes the place
  /// of the accuracy.
  package func report(labels: [String]? = nil) -> ScoreReport {
    let counts = labelCounts
    let names = labels ?? table.sorted.map { table.labels[$0] }
    let reported = names.map { name in table.known(name) }
    let rows = zip(names, reported).map { name, number in
      NamedScores(name: name, scores: Scores(number.map { counts[$0] } ?? Counts(), .sklearn))
    }
    let scores = rows.map(\.scores)
    let total = reported.reduce(Counts()) { $0 + ($1.map { counts[$0] } ?? Counts()) }
    let isComplete = Set(reported.compactMap { $0 }).count == table.labels.count
    var weighted = Scores.average(scores, isWeighted: true)
    // Without weight scikit-learn takes the plain mean.
    if weighted.support == 0 { weighted = .average(scores, isWeighted: false) }
    return ScoreReport(
      classes: rows,
      averages: [
        NamedScores(
          name: isComplete ? ScoreReport.accuracyName : "micro avg",
          scores: Scores(total, .sklearn)
        ),
        NamedScores(name: "macro avg", scores: .average(scores, isWeighted: false)),
        NamedScores(name: "weighted avg", scores: weighted),
      ],
      accuracy: accuracy,
      isSupportFractional: rightTokens == 0
    )
  }

  private var labelCounts: [Counts] {
    var counts = [Counts](repeating: Counts(), count: table.labels.count)
    for (pair, count) in pairs {
      let (actual, predicted) = (Int(pair >> 32), Int(pair & 0xffff_ffff))
      counts[actual].actual += count
      counts[predicted].predicted += count
      if actual == predicted { counts[actual].correct += count }
    }
    return counts
  }

  /// The confusion matrix over all labels, in the order of their characters.
  package var confusion: ConfusionMatrix {
    let order = table.sorted
    var ranks = [Int](repeating: 0, count: order.count)
    for (rank, number) in order.enumerated() { ranks[number] = rank }
    let cells = pairs.map { pair, count in
      ConfusionMatrix.Cell(
        actual: ranks[Int(pair >> 32)],
        predicted: ranks[Int(pair & 0xffff_ffff)],
        count: count
      )
    }
    return ConfusionMatrix(
      labels: order.map { table.labels[$0] },
      cells: cells.sorted { ($0.actual, $0.predicted) < ($1.actual, $1.predicted) }
    )
  }
}

/// How often each label was predicted where each is true; sparse, because most pairs never occur.
package struct ConfusionMatrix: Sendable, Equatable, Codable {
  /// One pair of labels that occurred.
  package struct Cell: Sendable, Equatable, Codable {
    /// The index of the true label.
    package var actual: Int
    /// The index of the predicted label.
    package var predicted: Int
    /// How often.
    package var count: Int
  }

  /// The labels, in order.
  package var labels: [String]
  /// The pairs that occurred, by row, then by column.
  package var cells: [Cell]

  /// How often `predicted` was predicted where `actual` is true, as indices of `labels`.
  package func count(actual: Int, predicted: Int) -> Int {
    cells.first { $0.actual == actual && $0.predicted == predicted }?.count ?? 0
  }

  /// Up to this many labels the text is a table, beyond it a list of pairs.
  package static let tableLabelsMax = 24

  /// A table with a row per true label and a column per predicted one; of many labels the pairs
  /// that were confused, most frequent first.
  package var text: String {
    labels.count <= Self.tableLabelsMax ? table : list
  }

  private var table: String {
    let width = labels.reduce("actual".count) { max($0, $1.unicodeScalars.count) }
    let counts = cells.map { "\($0.count)".count }.max() ?? 1
    let columns = labels.map { max($0.unicodeScalars.count, counts) }
    func line(_ name: String, _ texts: [String]) -> String {
      zip(texts, columns).reduce(name.padded(width)) { $0 + "  " + $1.0.padded($1.1) }
    }
    var rows = labels.map { _ in [Int](repeating: 0, count: labels.count) }
    for cell in cells { rows[cell.actual][cell.predicted] = cell.count }
    let lines = zip(labels, rows).map { line($0, $1.map { "\($0)" }) }
    return ([line("actual", labels)] + lines).joined(separator: "\n") + "\n"
  }

  private var list: String {
    let confused = cells.filter { $0.actual != $0.predicted }
    let sorted = confused.sorted {
      ($1.count, $0.actual, $0.predicted) < ($0.count, $1.actual, $1.predicted)
    }
    let width = sorted.map { "\($0.count)".count }.max() ?? 1
    let lines = sorted.map {
      "\("\($0.count)".padded(width))  \(labels[$0.actual]) -> \(labels[$0.predicted])\n"
    }
    return lines.joined()
  }

  /// The matrix as a JSON object.
  package var json: String { jsonText(self) }
}
