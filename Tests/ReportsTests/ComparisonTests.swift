import JSON
import Testing

@testable import Reports

@Suite("Reports beside seqeval's and scikit-learn's")
struct ComparisonTests {
  @Test("committed reports are equal to every digit and space")
  func golden() throws {
    let rows = try Peer.golden()
    #expect(rows.count == 10)
    for row in rows { try compare(row) }
  }

  @Test(
    "reports on over 500 random sequences are equal to every digit and space",
    .enabled(if: Peer.isInstalled, "the Python peers are not installed (LLMOS_PEERS)")
  )
  func live() throws {
    let rows = try Peer.live(seed: 7, count: 120)
    #expect(rows.reduce(0) { $0 + $1["true"].elements.count } > 500)
    for row in rows { try compare(row) }
  }

  private func compare(_ row: JSONValue) throws {
    var entities = EntityScorer()
    var tags = TagScorer()
    for (actual, predicted) in zip(row["true"].elements, row["predicted"].elements) {
      try entities.add(actual: actual.texts, predicted: predicted.texts)
      try tags.add(actual: actual.texts, predicted: predicted.texts)
    }
    let digits = try #require(row["digits"].double.map { Int($0) })
    if row["entities"].isNull {
      #expect(entities.report.classes.isEmpty)
    } else {
      expectEqual(entities.report.text(digits: digits), row["entities"], row)
      expectEqual(entities.report, row["entitiesByName"])
    }
    guard let accuracy = row["accuracy"].double else { return }
    #expect(entities.report.accuracy == accuracy && tags.accuracy == accuracy)
    expectEqual(tags.report().text(digits: digits), row["tags"], row)
    expectEqual(tags.report(), row["tagsByName"])
    if !row["labels"].elements.isEmpty {
      let report = tags.report(labels: row["labels"].texts)
      expectEqual(report.text(digits: digits), row["labelled"], row)
    }
    compare(tags.confusion, row)
  }

  private func compare(_ matrix: ConfusionMatrix, _ row: JSONValue) {
    #expect(matrix.labels.map { Array($0.utf8) } == row["seen"].texts.map { Array($0.utf8) })
    for (actual, counts) in row["confusion"].elements.enumerated() {
      for (predicted, count) in counts.elements.enumerated() {
        #expect(matrix.count(actual: actual, predicted: predicted) == count.double.map { Int($0) })
      }
    }
  }

  private func expectEqual(_ text: String, _ expected: JSONValue, _ row: JSONValue) {
    guard !text.isIdentical(expected.text) else { return }
    Issue.record(
      """
      \(row["kind"]) in \(row["scheme"])
      \(text)
      expected
      \(expected.text ?? "nothing")
      """
    )
  }

  /// The numbers themselves, to the last bit.
  private func expectEqual(_ report: ScoreReport, _ expected: JSONValue) {
    let rows = report.classes + report.averages
    // A class may be called as an average is.
    for row in rows where row.name != ScoreReport.accuracyName {
      let scores = expected[row.name]
      #expect(row.scores.precision == scores["precision"].double, "precision of \(row.name)")
      #expect(row.scores.recall == scores["recall"].double, "recall of \(row.name)")
      #expect(row.scores.f1 == scores["f1-score"].double, "F1 of \(row.name)")
      #expect(Double(row.scores.support) == scores["support"].double, "support of \(row.name)")
    }
    #expect(rows.count == expected.keys.count)
  }
}
