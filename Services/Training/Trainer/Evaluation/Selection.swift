extension TrainingConfiguration {
  /// The metric that chooses the best weights.
  package enum BestMetric: String, Codable, Sendable, CaseIterable {
    /// F1 of entities, accuracy of other labels, loss of language models.
    case auto
    case loss
    case accuracy
    case f1
    case exactAnswers
  }

  /// A metric and its direction.
  struct Selection: Equatable {
    let name: String

    func isBetter(_ value: Double, than other: Double) -> Bool {
      name == "loss" ? value < other : value > other
    }
  }

  /// The metric that chooses the best weights of `task`.
  func selection(task: TrainingTask, isEntities: Bool) -> Selection {
    switch bestMetric {
    case .loss: Selection(name: "loss")
    case .accuracy: Selection(name: "accuracy")
    case .f1: Selection(name: "f1")
    case .exactAnswers: Selection(name: "exact_answers")
    case .auto:
      switch task {
      case .ner: Selection(name: isEntities ? "f1" : "accuracy")
      case .classify: Selection(name: "accuracy")
      case .chat: Selection(name: "loss")
      }
    }
  }

  /// The metrics that `task` has.
  static func bestMetrics(task: TrainingTask) -> [BestMetric] {
    switch task {
    case .ner, .classify: [.auto, .loss, .accuracy, .f1]
    case .chat: [.auto, .loss, .accuracy, .exactAnswers]
    }
  }
}
