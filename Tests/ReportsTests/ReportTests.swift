import Foundation
import JSON
import Testing

@testable import Reports

@Suite("Reports")
struct ReportTests {
  private func scorer(_ actual: [String], _ predicted: [String]) throws -> EntityScorer {
    var scorer = EntityScorer()
    try scorer.add(actual: actual, predicted: predicted)
    return scorer
  }

  @Test("the per-tag report has the shape that is known from NER papers")
  func shape() throws {
    var scorer = TagScorer()
    for _ in 0..<1_527 { try scorer.add(actual: "B-LOC", predicted: "B-LOC") }
    for _ in 0..<141 { try scorer.add(actual: "B-LOC", predicted: "O") }
    for _ in 0..<122 { try scorer.add(actual: "O", predicted: "B-LOC") }
    let lines = scorer.report(labels: ["B-LOC"]).text().split(separator: "\n")
    #expect(lines[1] == "       B-LOC      0.926     0.915     0.921      1668")
    #expect(lines[2] == "   micro avg      0.926     0.915     0.921      1668")
  }

  @Test("entities that end a sequence do not reach into the next")
  func sequences() throws {
    var scorer = EntityScorer()
    try scorer.add(actual: ["B-PER"], predicted: ["B-PER"])
    try scorer.add(actual: ["I-PER"], predicted: ["I-PER"])
    let per = try #require(scorer.report.scores(of: "PER"))
    #expect(per.support == 2 && per.f1 == 1)
    #expect(scorer.report.micro == per)
  }

  @Test("sequences of different lengths are refused and not counted")
  func lengths() throws {
    var scorer = try scorer(["B-PER", "O"], ["B-PER", "O"])
    let before = scorer.report
    let error = #expect(throws: ReportError.self) {
      try scorer.add(actual: ["O"], predicted: [])
    }
    #expect(error?.code == .invalidArgument && error?.message.contains("1") == true)
    #expect(scorer.report == before)
    var tags = TagScorer()
    #expect(throws: ReportError.self) { try tags.add(actual: ["O"], predicted: ["O", "O"]) }
    #expect(tags.tokens == 0)
  }

  @Test("a report of nothing has no numbers that are not numbers")
  func empty() throws {
    let text = EntityScorer().report.text(digits: 2)
    #expect(text.contains("micro avg       0.00      0.00      0.00         0"))
    #expect(TagScorer().report().text().contains("weighted avg      0.000"))
    #expect(TagScorer().confusion.text == "actual\n")
    #expect(try scorer([""], [""]).report.classes.isEmpty)
  }

  @Test("labels beyond the limit are refused")
  func limit() throws {
    var tags = TagScorer()
    for index in 0..<ReportLimits.labelsMax { try tags.add(actual: "\(index)", predicted: "0") }
    let error = #expect(throws: ReportError.self) { try tags.add(actual: "x", predicted: "0") }
    #expect(error?.code == .limitExceeded)
    try tags.add(actual: "1", predicted: "2")
  }

  @Test("JSON reads back to the same bits")
  func json() throws {
    var scorer = EntityScorer()
    for index in 1...60 {
      let types = ["B-A", "B-\"quoted\"\n", "B-é", "O"]
      let actual = (0..<7).map { types[($0 * index + index / 3) % 4] }
      let predicted = (0..<7).map { types[($0 * index + index % 5) % 4] }
      try scorer.add(actual: actual, predicted: predicted)
    }
    let report = scorer.report
    let read = try JSONDecoder().decode(ScoreReport.self, from: Data(report.json.utf8))
    #expect(read == report)
    let ours = try JSONReader.parse(Array(report.json.utf8))
    #expect(ours["averages"].elements[0]["scores"]["f1-score"].double == report.micro?.f1)

    var tags = TagScorer()
    try tags.add(actual: ["A", "B", "B"], predicted: ["A", "A", "B"])
    let matrix = try JSONDecoder().decode(
      ConfusionMatrix.self,
      from: Data(tags.confusion.json.utf8)
    )
    #expect(matrix == tags.confusion)
  }

  @Test("a small confusion matrix is a table, a large one a list of what was confused")
  func confusion() throws {
    var tags = TagScorer()
    try tags.add(actual: ["cat", "cat", "o", "cat"], predicted: ["cat", "o", "o", "cat"])
    #expect(tags.confusion.text == "actual  cat  o\n   cat    2  1\n     o    0  1\n")
    for index in 0..<30 { try tags.add(actual: "l\(index)", predicted: "l\(index)") }
    for _ in 0..<12 { try tags.add(actual: "l3", predicted: "l4") }
    #expect(tags.confusion.text == "12  l3 -> l4\n 1  cat -> o\n")
  }

  @Test("perplexity is the exponential of the mean over tokens, not over batches")
  func perplexity() throws {
    var perplexity = Perplexity()
    try perplexity.add(negativeLogLikelihood: 2, tokens: 1)
    try perplexity.add(negativeLogLikelihood: 2, tokens: 3)
    #expect(perplexity.loss == 1 && perplexity.perplexity == exp(1))
    #expect(perplexity.text() == "perplexity 2.718 loss 1.000 tokens 4\n")
    let json = try JSONReader.parse(Array(perplexity.json.utf8))
    #expect(json["perplexity"].double == exp(1))
    for (sum, tokens) in [(Double.nan, 1), (.infinity, 1), (-1, 1), (1, -1)] {
      #expect(throws: ReportError.self) {
        try perplexity.add(negativeLogLikelihood: sum, tokens: tokens)
      }
    }
    try perplexity.add(negativeLogLikelihood: 1e9, tokens: 1)
    #expect(perplexity.perplexity == .greatestFiniteMagnitude)
  }
}

@Suite("Learning curves")
struct LearningCurveTests {
  private typealias Series = LearningCurve.Series
  private typealias Point = LearningCurve.Point

  private func curve(_ series: [LearningCurve.Series], title: String = "run") -> LearningCurve {
    LearningCurve(title: title, xName: "step", series: series)
  }

  /// Element names and their attributes; fails on text that is not well-formed.
  private struct Elements {
    var elements: [(name: String, attributes: [String: String])] = []
    var text = ""

    init(_ svg: String) throws {
      var open: [String] = []
      for part in svg.split(separator: "<") {
        let end = try #require(part.firstIndex(of: ">"), "a tag does not end: \(part)")
        let tag = part[..<end]
        let content = part[part.index(after: end)...]
        try #require(!content.contains(">") && !content.unicodeScalars.contains { $0.value < 10 })
        if tag.hasPrefix("/") {
          try #require(open.popLast() == String(tag.dropFirst()))
        } else {
          // name a="b" c="d"/
          let pieces = tag.split(separator: "\"", omittingEmptySubsequences: false)
          try #require(pieces.count % 2 == 1)
          let words = pieces[0].split(separator: " ").map(String.init)
          var attributes: [String: String] = [:]
          for index in stride(from: 0, to: pieces.count - 1, by: 2) {
            let key = try #require(pieces[index].split(separator: " ").last?.dropLast())
            try #require(attributes[String(key)] == nil)
            attributes[String(key)] = try Self.plain(pieces[index + 1])
          }
          elements.append((words[0], attributes))
          if !tag.hasSuffix("/") { open.append(words[0]) }
        }
        if open.last != "style" { text += try Self.plain(content) + "|" }
      }
      #expect(open.isEmpty)
    }

    /// Text with its entities replaced.
    private static func plain(_ text: Substring) throws -> String {
      let entities = ["amp": "&", "lt": "<", "gt": ">", "quot": "\"", "#39": "'"]
      let parts = text.split(separator: "&", omittingEmptySubsequences: false)
      return try parts.dropFirst().reduce(into: String(parts.first ?? "")) { result, part in
        let end = try #require(part.firstIndex(of: ";"))
        result += try #require(entities[String(part[..<end])])
        result += part[part.index(after: end)...]
      }
    }

    var curves: [String] {
      elements.filter { $0.name == "path" && $0.attributes["d"]?.contains("h22") == false }
        .compactMap { $0.attributes["d"] }
    }
  }

  @Test("losses and metrics have an axis each, ticks, a legend")
  func drawing() throws {
    let loss = Series(
      name: "train loss",
      axis: .loss,
      points: (0...40).map { Point(x: Double($0), y: 2.4 / Double($0 + 1)) }
    )
    let metric = Series(
      name: "dev F1",
      axis: .metric,
      points: [Point(x: 20, y: 0.61), Point(x: 40, y: 0.74)]
    )
    let elements = try Elements(curve([loss, metric]).svg)
    for text in ["run", "step", "loss", "metric", "train loss", "dev F1", "0.0", "2.5", "0.60"] {
      #expect(elements.text.contains(text), "\(text) in \(elements.text)")
    }
    #expect(elements.curves.count == 2)
    #expect(elements.curves[0].filter { $0 == "L" }.count == 40)
    #expect(curve([loss]).svg.contains("prefers-color-scheme:dark"))
    let many = (0..<20).map { Series(name: "run \($0)", axis: .loss, points: loss.points) }
    #expect(try Elements(curve(many).svg).curves.count == ReportLimits.curvesMax)
  }

  @Test("names are escaped and cannot add elements")
  func escaping() throws {
    let series = Series(
      name: "<script>&\"'",
      axis: .loss,
      points: [Point(x: 0, y: 1), Point(x: 1, y: 2)]
    )
    let elements = try Elements(curve([series], title: "a\u{0}<b>&amp;]]>\u{1b}").svg)
    #expect(elements.elements.allSatisfy { $0.name != "script" && $0.name != "b" })
    #expect(elements.text.contains("<script>&\"'|"))
    #expect(elements.text.contains("a\u{FFFD}<b>&amp;]]>\u{FFFD}|"))
  }

  @Test("points that are not finite interrupt a curve; nothing to draw is drawn")
  func notFinite() throws {
    let values = [1, 2, .nan, 3, .infinity, .infinity, 4, 5]
    let points = values.enumerated().map { Point(x: Double($0.offset), y: $0.element) }
    let elements = try Elements(curve([Series(name: "l", axis: .loss, points: points)]).svg)
    #expect(elements.curves.first?.filter { $0 == "M" }.count == 3)
    #expect(elements.curves.first?.contains("nan") == false)
    let none = Series(name: "l", axis: .loss, points: [Point(x: .nan, y: .nan)])
    #expect(try Elements(curve([none]).svg).curves.isEmpty)
    _ = try Elements(curve([]).svg)
  }

  @Test("a long curve is thinned and keeps its peaks")
  func thinning() throws {
    var points = (0..<100_000).map { Point(x: Double($0), y: 1) }
    points[54_321].y = 9
    points[12_345].y = -3
    points[70_000].y = .nan
    let thinned = CurveDrawing.thinned(points)
    #expect(thinned.count <= ReportLimits.curvePointsMax)
    #expect(thinned.contains { $0.y == 9 } && thinned.contains { $0.y == -3 })
    #expect(thinned.contains { $0.y.isNaN })
    #expect(zip(thinned, thinned.dropFirst()).allSatisfy { $0.x < $1.x })
  }

  @Test(
    "ticks are round, enclose the values and can be told apart",
    arguments: [
      [0.0, 1], [0.6123, 0.6124], [3, 3], [0, 0], [-5, 12_345], [1e-9, 3e-9], [1e12, 1e12 + 1],
      [-1e300, 1e300], [0, 1e-300], [2.5e-5, 2.5e-5],
    ] as [[Double]]
  )
  func ticks(values: [Double]) {
    let ticks = AxisTicks(values)
    #expect(ticks.lower <= values[0] && ticks.upper >= values[1] && ticks.lower < ticks.upper)
    #expect((2...21).contains(ticks.values.count))
    #expect(Set(ticks.values.map(ticks.label)).count == ticks.values.count, "\(ticks)")
  }

  @Test("ticks of a usual loss are 0.0, 0.5 … 2.5")
  func usualTicks() {
    let ticks = AxisTicks([0.06, 2.4])
    #expect(ticks.values.map(ticks.label) == ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"])
  }
}
