internal import Glibc
internal import Models
internal import Reports

/// The result of an evaluation.
struct EvaluationReport {
  /// By name: `loss`, and what belongs to the task.
  var metrics: [String: Double]
  /// Files by name.
  var files: [String: String]
}

/// Scores batches as they come; keeps counts only, whatever the number of rows.
struct Evaluator {
  private let task: TrainingTask
  private let labels: [String]
  private let isEntities: Bool
  private var lossSum = 0.0
  /// Rows that `lossSum` counts.
  private var lossRows = 0
  private var rows = 0
  private var right = 0
  private var entities = EntityScorer()
  private var tags = TagScorer()
  private var answers = 0
  private var exactAnswers = 0

  /// Creates an evaluator that has scored nothing.
  ///
  /// `labels` are the names of the model's labels, and after them those that only gold rows have.
  init(task: TrainingTask, labels: [String], isEntities: Bool) {
    self.task = task
    self.labels = labels
    self.isEntities = isEntities
  }

  /// The most probable class of a row, the first of equals, and -log of the probability of `label`;
  /// no loss of a label that the model does not have.
  private static func score(
    _ row: UnsafeBufferPointer<Float>,
    label: Int
  ) -> (best: Int, loss: Double?) {
    var best = 0
    for column in 1..<max(1, row.count) where row[column] > row[best] { best = column }
    guard label < row.count else { return (best, nil) }
    let largest = row[best]
    var sum = 0.0
    for value in row { sum += Double(expf(value - largest)) }
    return (best, log(sum) + Double(largest) - Double(row[label]))
  }

  /// Scores the labelled rows of a batch with the logits `[rows, columns]`.
  mutating func add(
    _ logits: UnsafeBufferPointer<Float>,
    columns: Int,
    _ batch: PackedBatch
  ) throws(TrainerError) {
    var start = 0
    while start < batch.ids.count {
      let end = Int(batch.ends[start])
      var scored: [(position: Int, actual: Int, predicted: Int)] = []
      for position in start..<end where batch.labels[position] != ExampleSet.ignored {
        let label = Int(batch.labels[position])
        let row = position * columns..<(position + 1) * columns
        let (best, loss) = Self.score(UnsafeBufferPointer(rebasing: logits[row]), label: label)
        if let loss {
          lossSum += loss
          lossRows += 1
        }
        rows += 1
        right += best == label ? 1 : 0
        scored.append((position, label, best))
      }
      if task == .chat {
        countAnswers(scored)
      } else {
        try addLabels(scored.map(\.actual), scored.map(\.predicted))
      }
      start = end
    }
  }

  /// Counts the answers of a sequence, which are runs of labelled rows.
  ///
  /// Greedy decoding gives exactly this answer when the most probable token is the right one in
  /// each row of it.
  private mutating func countAnswers(
    _ scored: [(position: Int, actual: Int, predicted: Int)]
  ) {
    var isExact = true
    for (index, row) in scored.enumerated() {
      isExact = isExact && row.actual == row.predicted
      let isLast = index + 1 == scored.count || scored[index + 1].position != row.position + 1
      guard isLast else { continue }
      answers += 1
      exactAnswers += isExact ? 1 : 0
      isExact = true
    }
  }

  private mutating func addLabels(
    _ actual: [Int],
    _ predicted: [Int]
  ) throws(TrainerError) {
    let actualNames = actual.map { labels[$0] }
    let predictedNames = predicted.map { labels[$0] }
    do throws(ReportError) {
      if isEntities { try entities.add(actual: actualNames, predicted: predictedNames) }
      try tags.add(actual: actualNames, predicted: predictedNames)
    } catch {
      throw TrainerError(.internal, "report: \(error)", cause: error)
    }
  }

  /// The metrics and files of all that was scored; without a loss where no row has one.
  /// - Throws: `diverged` for a loss that is not finite.
  func report() throws(TrainerError) -> EvaluationReport {
    guard lossSum.isFinite else {
      throw TrainerError(.diverged, "evaluation: the loss is \(lossSum) over \(lossRows) rows")
    }
    var metrics = ["accuracy": rows == 0 ? 0 : Double(right) / Double(rows)]
    if lossRows > 0 { metrics["loss"] = lossSum / Double(lossRows) }
    var files: [String: String] = [:]
    switch task {
    case .chat:
      var perplexity = Perplexity()
      do throws(ReportError) {
        try perplexity.add(negativeLogLikelihood: lossSum, tokens: rows)
      } catch {
        throw TrainerError(.diverged, "evaluation: \(error)", cause: error)
      }
      metrics["perplexity"] = perplexity.perplexity
      metrics["exact_answers"] = answers == 0 ? 0 : Double(exactAnswers) / Double(answers)
      files["perplexity.txt"] = perplexity.text()
      files["perplexity.json"] = perplexity.json
    case .ner, .classify:
      let scores = tags.report()
      files["labels.txt"] = scores.text(digits: 3)
      files["labels.json"] = scores.json
      files["confusion.txt"] = tags.confusion.text
      files["confusion.json"] = tags.confusion.json
      let macro = scores.averages.first { $0.name == "macro avg" }
      metrics["f1"] = macro?.scores.f1
      if isEntities {
        let report = entities.report
        files["entities.txt"] = report.text(digits: 4)
        files["entities.json"] = report.json
        metrics["f1"] = report.micro?.f1
        metrics["precision"] = report.micro?.precision
        metrics["recall"] = report.micro?.recall
      }
    }
    return EvaluationReport(metrics: metrics, files: files)
  }
}
