/// What is to be trained, from what: the part of a job that its creator says, with every name pinned to a version.
package struct JobSpecification: Sendable, Equatable, Codable {
  /// The kind of model that is trained.
  package enum Task: String, Sendable, Codable, CaseIterable {
    /// Token classification: rows of tokens and tags.
    case ner
    /// Sequence classification: rows of a text and its label.
    case classify
    /// A causal language model: rows of chat messages.
    case chat
  }

  /// The kind of model that is trained.
  package var task: Task
  /// `name@version`.
  package var dataset: String
  /// The split to train on.
  package var trainSplit: String
  /// The split of the evaluations between epochs; nil: none.
  package var devSplit: String?
  /// The split of the last evaluation; nil: none.
  package var testSplit: String?
  /// `name@version` of the registered model to start from; nil: from scratch.
  package var baseModel: String?
  /// The name under which the result is registered.
  package var model: String
  /// The settings that differ from the task's defaults.
  package var settings: [String: String]

  /// A specification; see the properties.
  package init(
    task: Task,
    dataset: String,
    trainSplit: String = "train",
    devSplit: String? = nil,
    testSplit: String? = nil,
    baseModel: String? = nil,
    model: String,
    settings: [String: String] = [:]
  ) {
    self.task = task
    self.dataset = dataset
    self.trainSplit = trainSplit
    self.devSplit = devSplit
    self.testSplit = testSplit
    self.baseModel = baseModel
    self.model = model
    self.settings = settings
  }
}
