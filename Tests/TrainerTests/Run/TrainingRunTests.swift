import Checkpoints
import Files
import Foundation
import Models
import Tensors
import Testing
import Tokenizers

@testable import Trainer

@Suite("Training runs")
struct TrainingRunTests {
  private func run(
    _ task: TrainingTask,
    _ input: TrainingInput,
    in folder: String,
    settings: [String: String],
    threads: Int = 2,
    memoryLimit: Int? = nil,
    onEvent: @escaping (TrainingEvent) -> Void = { _ in },
    isCancelled: @escaping () -> Bool = { false }
  ) throws -> TrainingResult {
    try TrainingRun(
      task: task,
      configuration: try TrainingConfiguration(task: task, settings: settings),
      input: input,
      workFolder: folder,
      threads: threads,
      memoryLimit: memoryLimit
    ).run(onEvent: onEvent, isCancelled: isCancelled)
  }

  private static let entitySettings = [
    "epochs": "6", "batchSize": "8", "learningRate": "3e-3", "saveDtype": "f32",
    "checkpointSteps": "10",
  ]

  private func entityInput(_ base: TemporaryFolder) throws -> TrainingInput {
    try TinyModels.makeBert(base.path)
    return TrainingInput(
      train: TinyModels.entityRows(200, seed: 1),
      dev: TinyModels.entityRows(40, seed: 2),
      test: TinyModels.entityRows(40, seed: 3),
      baseModel: base.path
    )
  }

  @Test("entities are learned from rows to a model folder that serves")
  func entities() throws {
    let (base, work) = (try TemporaryFolder(), try TemporaryFolder())
    let events = Events()
    let result = try run(
      .ner,
      try entityInput(base),
      in: work.path,
      settings: Self.entitySettings,
      onEvent: events.append
    )
    #expect(try #require(result.metrics["f1"]) > 0.9)
    guard case .prepared(let rows, let tokens, let steps, let estimate)? = events.all.first else {
      Issue.record("the first event is \(String(describing: events.all.first))")
      return
    }
    #expect(rows == 200 && tokens > 1_000 && steps == 150)
    #expect(estimate.activations > 0 && estimate.weights == estimate.gradients)
    #expect(estimate.optimizer == 2 * estimate.weights)
    // The folder is one that the inference service loads.
    let folder = try ModelFolder.validate(result.modelFolder)
    #expect(folder.configuration.architecture == "BertForTokenClassification")
    #expect(folder.configuration.labels == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])
    let model = try TokenClassificationModel(
      folder: result.modelFolder,
      threads: ThreadPool(threadCount: 1)
    )
    let tokenizer = try Tokenizer(folder: result.modelFolder)
    let ids = try #require(try tokenizer.encode("emma lives in rome").first).ids
    let logits = try model.logits(ids)
    let best = (0..<ids.count).map { row in
      let scores = Array(logits[row * 5..<(row + 1) * 5])
      return folder.configuration.labels[scores.firstIndex(of: scores.max() ?? 0) ?? 0]
    }
    #expect(best[1] == "B-PER" && best[2] == "O" && best[4] == "B-LOC")
  }

  @Test("metrics are those of the reports, and the reports are written")
  func reports() throws {
    let (base, work) = (try TemporaryFolder(), try TemporaryFolder())
    let result = try run(
      .ner,
      try entityInput(base),
      in: work.path,
      settings: Self.entitySettings.merging(["epochs": "1"]) { $1 }
    )
    let names = [
      "confusion.json", "confusion.txt", "entities.json", "entities.txt", "labels.json",
      "labels.txt", "learning-curve.svg", "run.json",
    ]
    #expect(result.reports.keys.sorted() == names)
    #expect(try FileSystem.entries(of: "\(work.path)/reports") == names)
    let path = try #require(result.reports["entities.txt"])
    let text = String(decoding: try FileSystem.read(path), as: UTF8.self)
    let average = try #require(text.split(separator: "\n").first { $0.contains("micro avg") })
    let numbers = average.split(separator: " ").compactMap { Double($0) }
    #expect(numbers.count == 4)
    #expect(abs(numbers[0] - (result.metrics["precision"] ?? -1)) < 5.1e-5)
    #expect(abs(numbers[1] - (result.metrics["recall"] ?? -1)) < 5.1e-5)
    #expect(abs(numbers[2] - (result.metrics["f1"] ?? -1)) < 5.1e-5)
    let svg = try FileSystem.read(try #require(result.reports["learning-curve.svg"]))
    #expect(String(decoding: svg, as: UTF8.self).contains("dev f1"))
  }

  @Test("texts are classified")
  func classification() throws {
    let (base, work) = (try TemporaryFolder(), try TemporaryFolder())
    try TinyModels.makeBert(base.path)
    let result = try run(
      .classify,
      TrainingInput(
        train: TinyModels.textRows(200, seed: 1),
        dev: TinyModels.textRows(40, seed: 2),
        baseModel: base.path
      ),
      in: work.path,
      settings: ["epochs": "8", "batchSize": "8", "learningRate": "3e-3"]
    )
    #expect(try #require(result.metrics["accuracy"]) > 0.95)
    let folder = try ModelFolder.validate(result.modelFolder)
    #expect(folder.configuration.architecture == "BertForSequenceClassification")
    #expect(folder.configuration.labels == ["person", "place"])
    #expect(result.reports["labels.txt"] != nil && result.reports["entities.txt"] == nil)
  }

  @Test("rows of dev and test whose label training does not have are scored as errors")
  func unseenLabels() throws {
    let (base, work) = (try TemporaryFolder(), try TemporaryFolder())
    try TinyModels.makeBert(base.path)
    let known = ["{\"text\": \"oslo\", \"label\": \"place\"}"]
    let other = "{\"text\": \"rain\", \"label\": \"weather\"}"
    let events = Events()
    let result = try run(
      .classify,
      TrainingInput(
        train: TinyModels.textRows(200, seed: 1),
        dev: RowList([other, other]),
        test: RowList(known + [other] + known + known),
        baseModel: base.path
      ),
      in: work.path,
      settings: [
        "epochs": "4", "batchSize": "8", "learningRate": "3e-3", "keepBest": "false",
      ],
      onEvent: events.append
    )
    // Dev has no row that the model could get right, and no loss.
    #expect(events.evaluations.first?.metrics == ["accuracy": 0, "f1": 0])
    #expect(result.metrics["accuracy"] == 0.75)
    #expect(try #require(result.metrics["loss"]) < 0.5)
    let labels = try FileSystem.read(try #require(result.reports["labels.txt"]))
    #expect(String(decoding: labels, as: UTF8.self).contains("weather      0.000     0.000"))
    #expect(try ModelFolder.validate(result.modelFolder).configuration.labels.count == 2)
  }

  @Test("weights that the saved type cannot hold end the run, and no model is left")
  func overflow() throws {
    let (base, work) = (try TemporaryFolder(), try TemporaryFolder())
    try TinyModels.makeBert(base.path, unused: .greatestFiniteMagnitude)
    let input = TrainingInput(
      train: TinyModels.entityRows(8, seed: 1),
      baseModel: base.path
    )
    var settings = ["epochs": "1", "optimizer": "sgd", "weightDecay": "0"]
    let error = trainerError { _ = try run(.ner, input, in: work.path, settings: settings) }
    #expect(error?.code == .diverged)
    #expect(error?.message.hasPrefix("1 of the ") == true, "\(error?.message ?? "")")
    #expect(error?.message.contains("word_embeddings.weight are not finite as bf16") == true)
    #expect(try FileSystem.entries(of: work.path) == ["checkpoint"])
    settings["saveDtype"] = "f32"
    let second = try TemporaryFolder()
    _ = try run(.ner, input, in: second.path, settings: settings)
  }

  @Test("a chat model is trained from scratch, tokenizer and all")
  func chatFromScratch() throws {
    let work = try TemporaryFolder()
    let result = try run(
      .chat,
      TrainingInput(
        train: TinyModels.chatRows(200, seed: 1),
        dev: TinyModels.chatRows(40, seed: 2)
      ),
      in: work.path,
      settings: TinyModels.chatSettings
    )
    #expect(try #require(result.metrics["exact_answers"]) > 0.9)
    #expect(try #require(result.metrics["perplexity"]) < 1.2)
    _ = try ModelFolder.validate(result.modelFolder)
    let tokenizer = try Tokenizer(folder: result.modelFolder)
    #expect(tokenizer.vocabularySize == 300)
    let prompt = try tokenizer.renderChat([ChatMessage(role: "user", content: "Capital of Italy?")])
    var ids = try #require(
      try tokenizer.encode(prompt, options: EncodingOptions(addSpecialTokens: false)).first
    ).ids
    // What the teacher-forced metric promises holds when the model writes by itself.
    let model = try TrainableModel(
      folder: result.modelFolder,
      threads: ThreadPool(threadCount: 1),
      seed: 0
    )
    var answer: [UInt32] = []
    while answer.last != 2, answer.count < 20 {
      var batch = PackedBatch()
      batch.append(ids)
      let logits = try model.logits(batch).suffix(300)
      let best = logits.indices.max { logits[$0] < logits[$1] } ?? logits.startIndex
      answer.append(UInt32(best - logits.startIndex))
      ids.append(answer[answer.count - 1])
    }
    #expect(try tokenizer.decode(answer) == "It is Rome.")
  }

  @Test("a trained chat model is trained on, with its own tokenizer and template")
  func chatGoesOn() throws {
    let (work, second) = (try TemporaryFolder(), try TemporaryFolder())
    var settings = TinyModels.chatSettings.merging(["epochs": "1", "saveDtype": "f32"]) { $1 }
    let rows = TinyModels.chatRows(100, seed: 1)
    let base = try run(.chat, TrainingInput(train: rows), in: work.path, settings: settings)
    #expect(base.metrics.isEmpty)
    settings["epochs"] = "3"
    let events = Events()
    let result = try run(
      .chat,
      TrainingInput(
        train: rows,
        dev: TinyModels.chatRows(30, seed: 2),
        baseModel: base.modelFolder
      ),
      in: second.path,
      settings: settings,
      onEvent: events.append
    )
    let firstLoss = try #require(events.losses.first)
    #expect(firstLoss < 5)
    #expect(try #require(result.metrics["loss"]) < firstLoss)
    for name in ["tokenizer.json", "chat_template.jinja", "generation_config.json"] {
      let copied = try FileSystem.read("\(result.modelFolder)/\(name)")
      #expect(try FileSystem.read("\(base.modelFolder)/\(name)") == copied)
    }
  }

  @Test(
    "runs that were stopped end with the bytes of one that was not",
    arguments: [
      TrainingTask.ner, .chat,
    ]
  )
  func resume(_ task: TrainingTask) throws {
    let base = try TemporaryFolder()
    let input =
      task == .ner
      ? try entityInput(base)
      : TrainingInput(
        train: TinyModels.chatRows(100, seed: 1),
        dev: TinyModels.chatRows(20, seed: 2)
      )
    let settings =
      task == .ner
      ? Self.entitySettings.merging(["epochs": "2", "checkpointSteps": "7"]) { $1 }
      : TinyModels.chatSettings.merging([
        "epochs": "2", "checkpointSteps": "5", "turnsMax": "3", "augment": "true",
        "dropout": "0.1", "saveDtype": "f32",
      ]) { $1 }
    let (unbroken, broken) = (try TemporaryFolder(), try TemporaryFolder())
    let expected = try run(task, input, in: unbroken.path, settings: settings)
    for stop in [4, 9, 3] {
      var steps = 0
      let error = trainerError {
        _ = try run(
          task,
          input,
          in: broken.path,
          settings: settings,
          onEvent: { if case .step = $0 { steps += 1 } },
          isCancelled: { steps == stop }
        )
      }
      #expect(error?.code == .cancelled)
      #expect(!FileSystem.isFile("\(broken.path)/model/config.json"))
    }
    let result = try run(task, input, in: broken.path, settings: settings)
    #expect(result.metrics == expected.metrics)
    for name in try FileSystem.entries(of: expected.modelFolder) {
      let bytes = try FileSystem.read("\(expected.modelFolder)/\(name)")
      #expect(try FileSystem.read("\(result.modelFolder)/\(name)") == bytes, "\(name)")
    }
    for name in expected.reports.keys {
      let bytes = try FileSystem.read("\(unbroken.path)/reports/\(name)")
      #expect(try FileSystem.read("\(broken.path)/reports/\(name)") == bytes, "\(name)")
    }
    try TrainingRun.removeCheckpoints(workFolder: broken.path)
    #expect(try FileSystem.entries(of: broken.path) == ["model", "reports"])
  }

  @Test("what does not fit is refused before the first step, with the numbers")
  func memory() throws {
    let (base, work) = (try TemporaryFolder(), try TemporaryFolder())
    let input = try entityInput(base)
    var estimate: MemoryEstimate?
    for limit in [1 << 10, 1 << 18] {
      let error = trainerError {
        _ = try run(
          .ner,
          input,
          in: work.path,
          settings: Self.entitySettings,
          memoryLimit: limit,
          onEvent: { if case .prepared(_, _, _, let found) = $0 { estimate = found } }
        )
      }
      #expect(error?.code == .memoryLimit)
      #expect(error?.message.contains("weights") == true)
      #expect(error?.message.contains("the limit is") == true)
    }
    #expect(estimate == nil)
  }

  @Test("settings and base models that cannot work are refused at once")
  func refusals() throws {
    let rows = TinyModels.entityRows(4, seed: 1)
    let work = try TemporaryFolder()
    let noBase = trainerError {
      _ = try run(.ner, TrainingInput(train: rows), in: work.path, settings: [:])
    }
    #expect(noBase?.code == .invalidModel)
    let noFolder = trainerError {
      let input = TrainingInput(train: rows, baseModel: "\(work.path)/none")
      _ = try run(.ner, input, in: work.path, settings: [:])
    }
    #expect(noFolder?.message.contains("tokenizer.json does not exist") == true)
    let base = try TemporaryFolder()
    try TinyModels.makeBert(base.path)
    let noChat = trainerError {
      let input = TrainingInput(train: TinyModels.chatRows(4, seed: 1), baseModel: base.path)
      _ = try run(.chat, input, in: work.path, settings: [:])
    }
    #expect(noChat?.message.contains("does not generate text") == true)
  }
}
