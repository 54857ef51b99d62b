import ArgumentParser
import ServiceAPI

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `llmos train`: a job from its creation to its end.
struct Train: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Trains a model on a dataset and registers it.",
    discussion: """
      ner and classify start from a registered model (--base); chat starts from one, or from scratch.
      The job runs in the training service: Ctrl-C leaves it running. See also llmos jobs.

      Example: llmos train ner --data wikiann --base minilm --model wikiann-ner --set epochs=3
      """
  )

  enum Task: String, ExpressibleByArgument, CaseIterable {
    case ner, classify, chat

    var message: TrainingV1.TrainingTask {
      switch self {
      case .ner: .ner
      case .classify: .classify
      case .chat: .chat
      }
    }
  }

  @OptionGroup var connection: TrainingConnection

  @Argument(help: "What the model learns.")
  var task: Task

  @Option(help: ArgumentHelp("The dataset.", valueName: "name[@version]"))
  var data: String?

  @Option(help: "The name under which the result is registered.")
  var model: String?

  @Option(help: ArgumentHelp("The model to start from.", valueName: "name[@version]"))
  var base: String?

  @Option(help: ArgumentHelp("A setting of the training; repeatable.", valueName: "key=value"))
  var set: [String] = []

  @Option(help: "The split to learn from (default: train).")
  var trainSplit: String?

  @Option(help: "The split that chooses the best weights (default: dev, else validation, if any).")
  var devSplit: String?

  @Option(help: "The split of the final report (default: test, if any).")
  var testSplit: String?

  @Option(help: "A key of your own: the same key never creates two jobs.")
  var key: String?

  @Flag(help: "Return when the job is queued.")
  var detach = false

  @Flag(help: "List the settings of the task and their defaults.")
  var listSettings = false

  func validate() throws {
    guard !listSettings else { return }
    guard data != nil else { throw ValidationError("--data is missing: the dataset to learn") }
    guard model != nil else { throw ValidationError("--model is missing: the result's name") }
  }

  func run() async throws {
    if listSettings { return try await printSettings() }
    var request = TrainingV1.CreateJobRequest()
    request.idempotencyKey = key ?? UUID().uuidString
    request.specification = try specification()
    try await connection.call { [request] client in
      let job = try await client.createJob(request)
      let watch = JobWatch(client: client, id: job.id)
      Output.line("created \(job.id)")
      if detach {
        watch.tellDetached()
      } else {
        try await watch.run()
      }
    }
  }

  private func specification() throws -> TrainingV1.JobSpecification {
    var specification = TrainingV1.JobSpecification()
    specification.task = task.message
    specification.dataset = data ?? ""
    specification.model = model ?? ""
    specification.baseModel = base ?? ""
    specification.trainSplit = trainSplit ?? ""
    specification.devSplit = devSplit ?? ""
    specification.testSplit = testSplit ?? ""
    for pair in set {
      guard let equals = pair.firstIndex(of: "="), equals != pair.startIndex else {
        throw ValidationError("--set \(pair) is not key=value")
      }
      let name = String(pair[..<equals])
      let value = String(pair[pair.index(after: equals)...])
      guard specification.settings.updateValue(value, forKey: name) == nil else {
        throw ValidationError("--set \(name) is given twice")
      }
    }
    return specification
  }

  private func printSettings() async throws {
    var request = TrainingV1.ListSettingsRequest()
    request.task = task.message
    let settings = try await connection.call { [request] client in
      try await client.listSettings(request).settings
    }
    Output.table(
      [["SETTING", "DEFAULT", "VALUE", "MEANING"]]
        + settings.map { [$0.name, $0.defaultValue, $0.type, $0.meaning] }
    )
  }
}
