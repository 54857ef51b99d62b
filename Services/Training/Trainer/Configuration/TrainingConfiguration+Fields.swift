internal import JSON

extension TrainingConfiguration {
  /// One setting, as `--help` shows it.
  package struct Field: Sendable {
    /// The name; case, `-` and `_` do not count when it is given.
    package let name: String
    /// The type, with its range or its words.
    package let type: String
    /// The default of each task, where tasks differ.
    package let `default`: String
    /// What it does, with the unit.
    package let meaning: String
    /// The tasks it belongs to.
    package let tasks: [TrainingTask]
  }

  /// All settings in the order of `--help`.
  package static let fields: [Field] = settings.map { setting in
    Field(
      name: setting.name,
      type: setting.kind.summary,
      default: setting.defaultSummary,
      meaning: setting.meaning,
      tasks: setting.tasks
    )
  }

  /// The configuration of `task` with `settings` over the defaults.
  /// - Throws: `invalidConfiguration`, naming the setting, the value and what is allowed.
  package init(task: TrainingTask, settings: [String: String]) throws(TrainerError) {
    self.init(task: task)
    var given: [String: String] = [:]
    // In order, so that of several errors always the same one is reported.
    for (name, value) in settings.sorted(by: { $0.key < $1.key }) {
      let setting = try Self.setting(name, task)
      guard given.updateValue(name, forKey: setting.name) == nil else {
        throw TrainerError(.invalidConfiguration, "\(setting.name) is given twice")
      }
      guard value.utf8.count <= Self.valueBytesMax, setting.kind.set(&self, value) else {
        throw TrainerError(
          .invalidConfiguration,
          "\(setting.name) is \"\(value.excerpt(40))\"; it must be \(setting.kind.summary)"
        )
      }
    }
    try validate(task: task)
  }

  /// The longest value of a setting.
  private static let valueBytesMax = 64

  private static func setting(
    _ name: String,
    _ task: TrainingTask
  ) throws(TrainerError) -> Setting {
    let key = name.utf8.count <= valueBytesMax ? plain(name) : ""
    let wanted = aliases[key] ?? key
    guard let setting = settings.first(where: { plain($0.name) == wanted }) else {
      let known = settings.filter { $0.tasks.contains(task) }.map(\.name)
      throw TrainerError(
        .invalidConfiguration,
        "\"\(name.excerpt(40))\" is not a setting; the settings of \(task.rawValue) are "
          + known.joined(separator: ", ")
      )
    }
    guard setting.tasks.contains(task) else {
      let tasks = setting.tasks.map(\.rawValue).joined(separator: ", ")
      throw TrainerError(
        .invalidConfiguration,
        "\(setting.name) is a setting of \(tasks), not of \(task.rawValue)"
      )
    }
    return setting
  }

  private static func plain(_ name: String) -> String {
    name.lowercased().filter { $0 != "-" && $0 != "_" }
  }

  /// What others call some settings.
  private static let aliases = [
    "lr": "learningrate", "batch": "batchsize", "numtrainepochs": "epochs",
    "maxgradnorm": "clipnorm", "maxlength": "tokensmax", "gradientaccumulation": "accumulation",
    "gradientaccumulationsteps": "accumulation", "perdevicetrainbatchsize": "batchsize",
    "earlystoppingpatience": "patience",
  ]

  /// Checks what depends on several settings, and what was set in code.
  /// - Throws: `invalidConfiguration`, naming the setting.
  package func validate(task: TrainingTask) throws(TrainerError) {
    for setting in Self.settings {
      guard setting.kind.isValid(self) else {
        throw TrainerError(
          .invalidConfiguration,
          "\(setting.name) is \(setting.kind.get(self)); it must be \(setting.kind.summary)"
        )
      }
    }
    if let problem = scratch.problem { throw TrainerError(.invalidConfiguration, problem) }
    let metrics = Self.bestMetrics(task: task)
    guard metrics.contains(bestMetric) else {
      throw TrainerError(
        .invalidConfiguration,
        "bestMetric is \"\(bestMetric.rawValue)\"; \(task.rawValue) has "
          + metrics.map(\.rawValue).joined(separator: ", ")
      )
    }
    if patience > 0, evaluationsPerEpoch == 0 {
      throw TrainerError(
        .invalidConfiguration,
        "patience is \(patience), but evaluationsPerEpoch is 0: nothing would be compared"
      )
    }
    if nesterov, momentum == 0 {
      throw TrainerError(.invalidConfiguration, "nesterov needs a momentum above 0")
    }
  }

  /// The value of each setting of `task` by name, as it would be given.
  package func values(task: TrainingTask) -> [(name: String, value: String)] {
    Self.settings.filter { $0.tasks.contains(task) }.map { ($0.name, $0.kind.get(self)) }
  }
}

extension TrainingConfiguration.ScratchModel {
  /// What is wrong with sizes that are each in range.
  fileprivate var problem: String? {
    if !hidden.isMultiple(of: 2 * heads) {
      return "scratchHidden is \(hidden), which \(heads) heads (scratchHeads) of an even size do "
        + "not divide"
    }
    if !heads.isMultiple(of: kvHeads) {
      return "scratchKvHeads is \(kvHeads), which does not divide scratchHeads, \(heads)"
    }
    return nil
  }
}
