import JobStore
import RPC
import ServiceAPI
import Testing
import TrainingService

@Suite(.timeLimit(.minutes(5))) struct CreationTests {
  @Test func `A job is created with its names pinned, and shown as it is`() async throws {
    try await withTraining(jobsRun: false) { training in
      let job = try await training.create(["batchSize": "4"])
      #expect(job.state == .queued)
      let specification = try #require(job.specification)
      #expect(specification.dataset == "entities@2")
      #expect(specification.baseModel == "encoder@7")
      #expect(specification.trainSplit == "train")
      #expect(specification.devSplit == "dev")
      #expect(specification.testSplit == "test")
      #expect(specification.settings == ["batchSize": "4"])
      #expect(try await training.get(job.id) == job)
      let second = try await training.create(dataset: "entities@1") { $0.devSplit = "test" }
      #expect(second.queuePosition == 1)
      #expect(second.specification?.dataset == "entities@1")
      #expect(second.specification?.devSplit == "test")
      let chat = try await training.create(dataset: "talks") {
        $0.task = .chat
        $0.baseModel = ""
      }
      #expect(chat.specification?.devSplit == "validation")
      #expect(chat.specification?.testSplit == "")
      // Its one tag makes three labels.
      #expect(try await training.create(dataset: "places").state == .queued)
    }
  }

  @Test func `The same key is the same job, even when names would mean newer versions`()
    async throws
  {
    try await withTraining(jobsRun: false) { training in
      let first = try await training.create(key: "k")
      training.data.addVersion()
      #expect(try await training.create(key: "k") == first)
      let error = try await refusal { _ = try await training.create(key: "k") { $0.model = "b" } }
      #expect(error.code == .alreadyExists)
      #expect(error.message.contains(first.id))
      let other = try await training.create(key: "l")
      #expect(other.specification?.dataset == "entities@3")
      await training.stopData()
      #expect(try await training.create(key: "k").id == first.id)
    }
  }

  @Test func `A key is bounded in bytes, however few characters they make`() async throws {
    try await withTraining(jobsRun: false) { training in
      _ = try await training.create(key: String(repeating: "k", count: 128))
      for key in [
        String(repeating: "k", count: 129), "e" + String(repeating: "\u{301}", count: 64),
      ] {
        let error = try await refusal { _ = try await training.create(key: key) }
        #expect(error.code == .invalidArgument)
        #expect(error.message.contains("idempotency_key"), "\(error.message)")
      }
    }
  }

  typealias Change = @Sendable (inout TrainingV1.JobSpecification) -> Void

  static let refused: [(String, StatusCode, Change)] = [
    ("specification.task", .invalidArgument, { $0.task = .unspecified }),
    ("specification.dataset is missing", .invalidArgument, { $0.dataset = "" }),
    ("specification.model", .invalidArgument, { $0.model = "Tagger" }),
    ("specification.model", .invalidArgument, { $0.model = "" }),
    ("specification.base_model is missing", .invalidArgument, { $0.baseModel = "" }),
    (
      "settings: epochs is \"x\"; it must be less", .invalidArgument,
      { $0.settings = ["epochs": "x"] }
    ),
    (
      "specification.settings", .invalidArgument,
      { $0.settings = ["a": String(repeating: "a", count: 300)] }
    ),
    (
      "specification.settings are more than 64", .invalidArgument,
      { specification in
        for number in 0..<65 { specification.settings["s\(number)"] = "" }
      }
    ),
    ("specification.dataset: dataset none is not there", .notFound, { $0.dataset = "none" }),
    ("ner needs ROW_KIND_TOKEN_CLASSIFICATION", .invalidArgument, { $0.dataset = "intents" }),
    ("bare@2 has the splits all", .invalidArgument, { $0.dataset = "bare" }),
    ("which has no rows", .invalidArgument, { $0.dataset = "hollow" }),
    (
      "specification.train_split is \"train\", whose only label is \"O\"", .invalidArgument,
      { $0.dataset = "outside" }
    ),
    (
      "specification.train_split is \"dev\", whose only label is \"spam\"", .invalidArgument,
      {
        $0.task = .classify
        $0.dataset = "uniform"
        $0.trainSplit = "dev"
      }
    ),
    ("specification.dev_split is \"eval\"", .invalidArgument, { $0.devSplit = "eval" }),
    ("specification.test_split is \"last\"", .invalidArgument, { $0.testSplit = "last" }),
    (
      "specification.base_model: model none is not registered", .notFound, { $0.baseModel = "none" }
    ),
    ("which ner cannot start from", .invalidArgument, { $0.baseModel = "talker" }),
    ("is \"talker\", a model for text-generation", .invalidArgument, { $0.model = "talker" }),
  ]

  @Test(arguments: refused.indices)
  func `What cannot be trained is refused at creation, naming the field`(index: Int) async throws {
    let (words, code, change) = Self.refused[index]
    try await withTraining(jobsRun: false) { training in
      let error = try await refusal { _ = try await training.create(change: change) }
      #expect(error.code == code)
      #expect(error.message.contains(words), "\(error.message)")
      #expect(try await training.store.jobs(count: 1).isEmpty)
    }
  }

  @Test func `Without the data service, creating fails and says so`() async throws {
    try await withTraining(jobsRun: false) { training in
      await training.stopData()
      let error = try await refusal { _ = try await training.create() }
      #expect(error.code == .unavailable)
      #expect(error.message.contains("data-management service"), "\(error.message)")
    }
  }

  @Test func `The settings of a task are listed`() async throws {
    try await withTraining(jobsRun: false) { training in
      var request = TrainingV1.ListSettingsRequest()
      request.task = .chat
      let settings = try await training.client.listSettings(request).settings
      #expect(settings.map(\.name) == ["epochs"])
      #expect(settings.map(\.meaning) == ["for chat"])
      request.task = .unspecified
      let error = try await refusal { _ = try await training.client.listSettings(request) }
      #expect(error.code == .invalidArgument)
    }
  }
}
