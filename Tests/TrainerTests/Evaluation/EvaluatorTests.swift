import Foundation
import Models
import Reports
import Testing

@testable import Trainer

/// Scores of gold labels that the model does not have, beside those of seqeval and scikit-learn.
@Suite("Evaluations")
struct EvaluatorTests {
  /// A case of `Tests/Fixtures/reports`.
  private struct Case: Decodable {
    let `true`: [[String]]
    let predicted: [[String]]
    let accuracy: Double?
    let entitiesByName: [String: Scores]?
    let tagsByName: [String: Value]?

    struct Scores: Decodable {
      let precision: Double
      let recall: Double
      let f1: Double

      enum CodingKeys: String, CodingKey {
        case precision, recall
        case f1 = "f1-score"
      }
    }

    /// Scores, or the accuracy.
    enum Value: Decodable {
      case scores(Scores)
      case number(Double)

      init(from decoder: any Decoder) throws {
        if let number = try? decoder.singleValueContainer().decode(Double.self) {
          self = .number(number)
        } else {
          self = .scores(try Scores(from: decoder))
        }
      }

      var scores: Scores? { if case .scores(let scores) = self { scores } else { nil } }
    }
  }

  private static func cases() throws -> [Case] {
    let path = "\(Environment.packageRoot)/Tests/Fixtures/reports/golden.jsonl"
    return try Data(contentsOf: URL(fileURLWithPath: path)).split(separator: 0x0A).map {
      try JSONDecoder().decode(Case.self, from: Data($0))
    }
  }

  /// The evaluation of a model that has the labels it predicts and no others.
  private func evaluate(_ row: Case, isEntities: Bool) throws -> EvaluationReport {
    var names = NameTable(["O"])
    for name in row.predicted.joined() { _ = names.index(of: name) }
    let columns = names.names.count
    for name in row.true.joined() { _ = names.index(of: name) }
    var evaluator = Evaluator(task: .ner, labels: names.names, isEntities: isEntities)
    for (actual, predicted) in zip(row.true, row.predicted) {
      var batch = PackedBatch()
      batch.append(
        [UInt32](repeating: 0, count: actual.count),
        labels: actual.map { UInt32(names.index(of: $0)) }
      )
      let logits = predicted.flatMap { name in
        (0..<columns).map { $0 == names.find(name) ? Float(9) : 0 }
      }
      try logits.withUnsafeBufferPointer { try evaluator.add($0, columns: columns, batch) }
    }
    return try evaluator.report()
  }

  @Test("reports and metrics are the peers', whatever labels the model does not have")
  func peers() throws {
    var unseen = 0
    for row in try Self.cases() {
      unseen += Set(row.true.joined()).subtracting(row.predicted.joined()).count
      let report = try evaluate(row, isEntities: true)
      var (entities, tags) = (EntityScorer(), TagScorer())
      for (actual, predicted) in zip(row.true, row.predicted) {
        try entities.add(actual: actual, predicted: predicted)
        try tags.add(actual: actual, predicted: predicted)
      }
      #expect(report.files["entities.txt"] == entities.report.text(digits: 4))
      #expect(report.files["labels.txt"] == tags.report().text(digits: 3))
      #expect(report.files["confusion.txt"] == tags.confusion.text)
      guard let accuracy = row.accuracy else { continue }
      #expect(report.metrics["accuracy"] == accuracy)
      if let expected = row.entitiesByName?["micro avg"] {
        #expect(report.metrics["precision"] == expected.precision)
        #expect(report.metrics["recall"] == expected.recall)
        #expect(report.metrics["f1"] == expected.f1)
      }
      let macro = try #require(row.tagsByName?["macro avg"]?.scores)
      #expect(try evaluate(row, isEntities: false).metrics["f1"] == macro.f1)
    }
    #expect(unseen > 3)
  }

  @Test("the loss counts the rows whose label the model has, and is none without one")
  func loss() throws {
    var evaluator = Evaluator(task: .classify, labels: ["a", "b", "c"], isEntities: false)
    for label in [2, 0, 2] as [UInt32] {
      var batch = PackedBatch()
      batch.append([0], labels: [label])
      try [Float(0), 0].withUnsafeBufferPointer { try evaluator.add($0, columns: 2, batch) }
      let metrics = try evaluator.report().metrics
      #expect(abs((metrics["loss"] ?? 0.6931) - 0.6931) < 1e-4)
      #expect((metrics["loss"] == nil) == (metrics["accuracy"] == 0))
    }
    #expect(try evaluator.report().metrics["accuracy"] == 1.0 / 3)
  }
}
