import Testing

@testable import Trainer

@Suite("Training configuration")
struct ConfigurationTests {
  @Test("settings replace the defaults of the task")
  func settings() throws {
    let configuration = try TrainingConfiguration(
      task: .ner,
      settings: [
        "epochs": "5", "learningRate": "3e-5", "schedule": "cosine", "nesterov": "true",
        "optimizer": "sgd", "seed": "18446744073709551615", "saveDtype": "f32",
      ]
    )
    #expect(configuration.epochs == 5)
    #expect(configuration.learningRate == 3e-5)
    #expect(configuration.schedule == .cosine)
    #expect(configuration.nesterov)
    #expect(configuration.optimizer == .sgd)
    #expect(configuration.seed == .max)
    #expect(configuration.saveDtype == .f32)
    #expect(configuration.batchSize == 32)
  }

  @Test("the names others use for settings are understood")
  func aliases() throws {
    let configuration = try TrainingConfiguration(
      task: .classify,
      settings: ["learning_rate": "1e-4", "batch-size": "8", "num_train_epochs": "2"]
    )
    #expect(configuration.learningRate == 1e-4)
    #expect(configuration.batchSize == 8)
    #expect(configuration.epochs == 2)
    #expect(
      try TrainingConfiguration(task: .ner, settings: ["lr": "0.5"]).learningRate == 0.5
    )
  }

  @Test("the recipe of the chat model is the default from scratch")
  func chatRecipe() throws {
    var configuration = try TrainingConfiguration(task: .chat, settings: [:])
    #expect(configuration.epochs == 7)
    #expect(configuration.batchSize == 32)
    #expect(configuration.schedule == .cosine)
    #expect(configuration.scheduleFloor == 0.05)
    #expect(configuration.warmupSteps(totalSteps: 1_750) == 100)
    #expect(configuration.beta2 == 0.95)
    #expect(configuration.weightDecay == 0.1)
    #expect(configuration.peakLearningRate(task: .chat, isFromScratch: true) == 2e-3)
    #expect(configuration.peakLearningRate(task: .chat, isFromScratch: false) == 5e-5)
    configuration.learningRateMultiplier = 2
    #expect(configuration.peakLearningRate(task: .chat, isFromScratch: false) == 1e-4)
  }

  @Test("warm-up below one is a fraction, rounded down, and never more than there is")
  func warmup() throws {
    var configuration = TrainingConfiguration(task: .ner)
    #expect(configuration.warmupSteps(totalSteps: 1_875) == 187)
    configuration.warmup = 100
    #expect(configuration.warmupSteps(totalSteps: 30) == 30)
  }

  @Test(
    "a bad setting is refused with its name, value and what is allowed",
    arguments: [
      (["epochs": "0"], ["epochs", "\"0\"", "1...1000"]),
      (["epochs": "three"], ["epochs", "\"three\"", "an integer"]),
      (["learningRate": "nan"], ["learningRate", "\"nan\"", "a number"]),
      (["dropout": "1"], ["dropout", "\"1\"", "0.0...0.95"]),
      (["schedule": "step"], ["schedule", "\"step\"", "linear, cosine, constant"]),
      (["keepBest": "yes"], ["keepBest", "\"yes\"", "true or false"]),
      (["epoch": "3"], ["\"epoch\" is not a setting", "epochs"]),
      (["augment": "true"], ["augment is a setting of chat, not of ner"]),
      (["lr": "1", "learning_rate": "1"], ["learningRate is given twice"]),
      (["patience": "2", "evaluationsPerEpoch": "0"], ["patience", "evaluationsPerEpoch"]),
      (["seed": "-1"], ["seed", "\"-1\""]),
      (["epsilon": "0"], ["epsilon", "\"0\"", "1e-12...1.0"]),
    ]
  )
  func refused(_ settings: [String: String], _ parts: [String]) {
    let error = trainerError { _ = try TrainingConfiguration(task: .ner, settings: settings) }
    #expect(error?.code == .invalidConfiguration)
    for part in parts { #expect(error?.message.contains(part) == true, "\(error?.message ?? "")") }
  }

  @Test("the shape of a model from scratch is checked as a whole")
  func scratch() {
    let heads = trainerError {
      _ = try TrainingConfiguration(task: .chat, settings: ["scratchHeads": "7"])
    }
    #expect(heads?.message.contains("scratchHidden is 256") == true)
    let kvHeads = trainerError {
      _ = try TrainingConfiguration(task: .chat, settings: ["scratchKvHeads": "3"])
    }
    #expect(kvHeads?.message.contains("scratchKvHeads is 3") == true)
  }

  @Test("each setting is documented, and its default is one that may be given")
  func fields() throws {
    for task in TrainingTask.allCases {
      for (name, value) in TrainingConfiguration(task: task).values(task: task) {
        _ = try TrainingConfiguration(task: task, settings: [name: value])
      }
    }
    #expect(TrainingConfiguration.fields.allSatisfy { !$0.meaning.isEmpty && !$0.type.isEmpty })
    let epochs = try #require(TrainingConfiguration.fields.first { $0.name == "epochs" })
    #expect(epochs.default == "ner 3, classify 5, chat 7")
  }
}
