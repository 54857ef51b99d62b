package import WorkerProtocol

/// What the tasks take as settings: the trainer's own rules, handed in so that the service is tested without them.
package struct TaskSettings: Sendable {
  /// One setting.
  package struct Setting: Sendable, Equatable {
    /// The name.
    package var name: String
    /// The type with its range, or its words.
    package var type: String
    /// The value without one.
    package var defaultValue: String
    /// What it does.
    package var meaning: String

    /// See the properties.
    package init(name: String, type: String, defaultValue: String, meaning: String) {
      self.name = name
      self.type = type
      self.defaultValue = defaultValue
      self.meaning = meaning
    }
  }

  /// What is wrong with some settings of a task, naming the setting, the value and what is allowed; nil if nothing is.
  package var problem: @Sendable (JobSpecification.Task, [String: String]) -> String?
  /// The settings of a task.
  package var list: @Sendable (JobSpecification.Task) -> [Setting]

  /// See the properties.
  package init(
    problem: @escaping @Sendable (JobSpecification.Task, [String: String]) -> String?,
    list: @escaping @Sendable (JobSpecification.Task) -> [Setting]
  ) {
    self.problem = problem
    self.list = list
  }
}
