internal import FoundationEssentials
internal import Reports

/// Everything about a finished run that can be compared with another: `run.json`.
struct RunReport: Codable {
  let task: TrainingTask
  let configuration: TrainingConfiguration
  let identity: TrainingState.Identity
  let data: DataSummary
  let labels: [String]
  let steps: Int
  let keptStep: Int
  let metrics: [String: Double]
  let evaluations: [TrainingState.Evaluation]
  let curve: [TrainingState.LossPoint]

  /// The report as JSON, keys in order.
  func json() throws(TrainerError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    do {
      return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    } catch {
      throw TrainerError(.internal, "the report cannot be encoded: \(error)", cause: error)
    }
  }

  /// Losses and the dev metric over the steps, as SVG.
  func learningCurve(metric: String) -> String {
    var series = [
      LearningCurve.Series(
        name: "train loss",
        axis: .loss,
        points: curve.map { LearningCurve.Point(x: Double($0.step), y: $0.loss) }
      )
    ]
    let dev = evaluations.filter { $0.split == .dev }
    for name in Set(["loss", metric]).sorted()
    where dev.contains(where: { $0.metrics[name] != nil }) {
      let points = dev.compactMap { evaluation in
        evaluation.metrics[name].map { LearningCurve.Point(x: Double(evaluation.step), y: $0) }
      }
      let axis: LearningCurve.Axis = name == "loss" ? .loss : .metric
      series.append(LearningCurve.Series(name: "dev \(name)", axis: axis, points: points))
    }
    return LearningCurve(title: "\(task.rawValue) training", xName: "step", series: series).svg
  }
}
