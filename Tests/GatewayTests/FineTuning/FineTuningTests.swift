import Foundation
import HTTPTypes
import HummingbirdTesting
import NIOCore
import RPC
import ServiceAPI
import ServiceKit
import Synchronization
import Testing

@testable import Gateway

@Suite("Fine-tuning") struct FineTuningTests {
  private func run(
    rows names: [String] = ["rows", "more"],
    _ test: @escaping @Sendable (TestGateway, FakeTraining, FakeDatasets) async throws -> Void
  ) async throws {
    let training = FakeTraining(), datasets = FakeDatasets()
    for name in names {
      var version = DatasetsV1.DatasetVersion()
      version.name = name
      version.version = 3
      version.digest = String(repeating: name == names[0] ? "a" : "b", count: 64)
      version.kind = .sequenceClassification
      var split = DatasetsV1.Split()
      split.name = "train"
      version.splits = [split]
      let rows = Array("{\"text\":\"\(name)\",\"label\":\"x\"}\n".utf8)
      datasets.stored.withLock { $0[name] = .init(version: version, rows: ["train": rows]) }
    }
    try await TestGateway.run(services: [training, datasets]) {
      try await test($0, training, datasets)
    }
  }

  private static let jobs = "/v1/fine_tuning/jobs"

  @Test("a request becomes a job") func creates() async throws {
    try await run { gateway, training, _ in
      let body = #"""
        {"model": "minilm@2", "training_file": "rows", "suffix": "intents", "seed": 7, "metadata": {},
         "method": {"type": "supervised", "supervised": {"hyperparameters":
           {"n_epochs": 4, "batch_size": "auto", "learning_rate_multiplier": 0.5}}},
         "llmos": {"settings": {"patience": 2, "schedule": "cosine", "bucketing": true}}}
        """#
      let answer = try await gateway.post(Self.jobs, body)
      #expect(answer.status == .ok)
      #expect(answer.json["id"] as? String == "job-1")
      #expect(answer.json["object"] as? String == "fine_tuning.job")
      #expect(answer.json["model"] as? String == "minilm@2")
      #expect(answer.json["status"] as? String == "queued")
      #expect(answer.json["seed"] as? Int == 7 && answer.json["error"] is NSNull)
      let values = answer.json["hyperparameters"] as? [String: Any]
      #expect(values?["n_epochs"] as? Int == 4 && values?["batch_size"] as? String == "auto")
      #expect(values?["learning_rate_multiplier"] as? Double == 0.5)
      let specification = try #require(training.state.withLock { $0.jobs[0].specification })
      #expect(specification.task == .classify && specification.dataset == "rows@3")
      #expect(specification.baseModel == "minilm@2" && specification.model == "minilm-intents")
      #expect(
        specification.settings == [
          "epochs": "4", "seed": "7", "learningRateMultiplier": "0.5", "patience": "2",
          "schedule": "cosine", "bucketing": "true",
        ]
      )
    }
  }

  @Test("two files become one dataset with an evaluation split") func joins() async throws {
    try await run { gateway, training, datasets in
      let body = #"{"model": "m", "training_file": "rows", "validation_file": "more"}"#
      #expect(try await gateway.post(Self.jobs, body).status == .ok)
      let specification = try #require(training.state.withLock { $0.jobs[0].specification })
      let name = String(specification.dataset.prefix { $0 != "@" })
      #expect(datasets.rows(name, "train")?.contains("rows") == true)
      #expect(datasets.rows(name, "dev")?.contains("more") == true)
      #expect(specification.model == "m-ft")
      #expect(JoinedDataset.files(of: name) == nil)
    }
  }

  @Test("a job names the two files it was made of") func namesFiles() async throws {
    let files = [
      "file-\(String(repeating: "1a", count: 12))", "file-\(String(repeating: "2b", count: 12))",
    ]
    try await run(rows: files) { gateway, _, datasets in
      let body =
        #"{"model": "m", "training_file": "\#(files[0])", "validation_file": "\#(files[1])"}"#
      #expect(try await gateway.post(Self.jobs, body).status == .ok)
      let job = try await gateway.get("\(Self.jobs)/job-1").json
      #expect(job["training_file"] as? String == files[0])
      #expect(job["validation_file"] as? String == files[1])
      // What was made of the two goes with either.
      #expect(datasets.stored.withLock { $0.count } == 3)
      let gone = try await gateway.client.execute(uri: "/v1/files/\(files[1])", method: .delete)
      #expect(gone.status == .ok)
      #expect(datasets.stored.withLock { Array($0.keys) } == [files[0]])
    }
  }

  @Test("the dataset of two files has their scheme of tags") func joinsTags() async throws {
    try await run { gateway, _, datasets in
      let body = #"{"model": "m", "training_file": "rows", "validation_file": "more"}"#
      func schemes(_ training: DatasetsV1.TagScheme, _ validation: DatasetsV1.TagScheme) {
        datasets.stored.withLock { stored in
          for (name, scheme) in [("rows", training), ("more", validation)] {
            stored[name]?.version.kind = .tokenClassification
            stored[name]?.version.tagScheme = scheme
          }
        }
      }
      for scheme in [DatasetsV1.TagScheme.plain, .bilou] {
        schemes(scheme, scheme)
        #expect(try await gateway.post(Self.jobs, body).status == .ok)
        // Tags that are no chunks aside, stored ones are IOB2.
        let joined = datasets.imports.withLock { $0.last?.tagScheme }
        #expect(joined == (scheme == .plain ? .plain : .iob2))
      }
      schemes(.plain, .iob2)
      let refused = try await gateway.post(Self.jobs, body)
      #expect(refused.status == .badRequest && refused.error("param") == "validation_file")
    }
  }

  @Test("rows to test on are not trained on") func leavesTestRows() async throws {
    try await run { gateway, training, datasets in
      datasets.stored.withLock { stored in
        for name in ["dev", "test"] {
          var split = DatasetsV1.Split()
          split.name = name
          for dataset in ["rows", "more"] {
            stored[dataset]?.version.splits.append(split)
            stored[dataset]?.rows[name] = Array("{\"text\":\"\(dataset) \(name)\"}\n".utf8)
          }
        }
      }
      let body = #"{"model": "m", "training_file": "rows", "validation_file": "more"}"#
      #expect(try await gateway.post(Self.jobs, body).status == .ok)
      let specification = try #require(training.state.withLock { $0.jobs[0].specification })
      let name = String(specification.dataset.prefix { $0 != "@" })
      #expect(datasets.rows(name, "train") == "{\"text\":\"rows\",\"label\":\"x\"}\n")
      #expect(datasets.rows(name, "dev") == "{\"text\":\"more dev\"}\n")
    }
  }

  @Test("without a training service its routes answer 503 and chat goes on")
  func withoutTraining() async throws {
    // Nothing listens on port 1.
    let nobody = ServiceAddress(host: "127.0.0.1", port: 1)
    try await TestGateway.run(
      services: [FakeDatasets()],
      adjust: {
        $0.training = nobody
        $0.readyTimeout = .milliseconds(50)
      }
    ) { gateway in
      await gateway.server.probe.round()
      #expect(try await gateway.get("/health").status == .ok)
      #expect(try await gateway.post(chatPath, chatBody()).status == .ok)
      for path in ["", "/job-1", "/job-1/events", "/job-1/events?stream=true"] {
        let answer = try await gateway.get(Self.jobs + path)
        #expect(answer.status == .serviceUnavailable)
        #expect(answer.error("message")?.contains("training service is not available") == true)
      }
      #expect(
        try await gateway.post("\(Self.jobs)/job-1/cancel", "").status == .serviceUnavailable
      )
      #expect(try await gateway.get("/v1/files").status == .ok)
    }
  }

  @Test(
    "what is wrong is refused by name",
    arguments: [
      (#"{"training_file": "rows"}"#, "model"), (#"{"model": "m"}"#, "training_file"),
      (#"{"model": "m", "training_file": "nobody"}"#, "training_file"),
      (#"{"model": "m", "training_file": "rows", "validation_file": "x"}"#, "validation_file"),
      (#"{"model": "m", "training_file": "rows", "suffix": "A b"}"#, "suffix"),
      (#"{"model": "m", "training_file": "rows", "n_epochs": 1}"#, nil),
      (#"{"model": "m", "training_file": "rows", "seed": -1}"#, "seed"),
      (#"{"model": "m", "training_file": "rows", "integrations": [1]}"#, "integrations"),
      (#"{"model": "m", "training_file": "rows", "metadata": {"a": "b"}}"#, "metadata"),
      (
        #"{"model": "m", "training_file": "rows", "hyperparameters": {"n_epochs": 0}}"#,
        "hyperparameters.n_epochs"
      ),
      (#"{"model": "m", "training_file": "rows", "method": {"type": "dpo"}}"#, "method.type"),
      (
        #"{"model": "m", "training_file": "rows", "llmos": {"task": "dance"}}"#,
        "llmos.task"
      ),
      (
        #"{"model": "m", "training_file": "rows", "llmos": {"settings": {"a": [1]}}}"#,
        "llmos.settings.a"
      ),
      (
        #"{"model": "m", "training_file": "rows", "seed": 1, "llmos": {"settings": {"seed": 2}}}"#,
        "llmos.settings.seed"
      ),
    ] as [(String, String?)]
  )
  func refuses(_ body: String, _ parameter: String?) async throws {
    try await run { gateway, training, _ in
      let answer = try await gateway.post(Self.jobs, body)
      #expect(answer.status == .badRequest, "\(answer.text)")
      #expect((answer.json["error"] as? [String: Any])?["param"] as? String == parameter)
      #expect(training.state.withLock { $0.jobs.isEmpty })
    }
  }

  @Test("what the training service refuses is said in the request's words") func maps() async throws
  {
    try await run { gateway, training, _ in
      training.refusal.withLock {
        $0 = RPCError(.invalidArgument, "specification.settings[\"x\"]: no such setting")
      }
      let body = #"{"model": "m", "training_file": "rows"}"#
      let answer = try await gateway.post(Self.jobs, body)
      #expect(answer.status == .badRequest)
      let error = answer.json["error"] as? [String: Any]
      #expect(error?["param"] as? String == "llmos.settings")
      #expect(error?["message"] as? String == "'llmos.settings'[\"x\"]: no such setting")
      training.refusal.withLock { $0 = RPCError(.unavailable, "away") }
      #expect(try await gateway.post(Self.jobs, body).status == .serviceUnavailable)
    }
  }

  @Test("jobs are found, listed by page and cancelled") func jobs() async throws {
    try await run { gateway, _, _ in
      for _ in 0..<5 {
        _ = try await gateway.post(Self.jobs, #"{"model": "m", "training_file": "rows"}"#)
      }
      func page(_ query: String) async throws -> ([String], Bool) {
        let json = try await gateway.get(Self.jobs + query).json
        let data = json["data"] as? [[String: Any]] ?? []
        return (data.compactMap { $0["id"] as? String }, json["has_more"] as? Bool ?? false)
      }
      #expect(try await page("") == (["job-5", "job-4", "job-3", "job-2", "job-1"], false))
      #expect(try await page("?limit=2") == (["job-5", "job-4"], true))
      #expect(try await page("?limit=2&after=job-4") == (["job-3", "job-2"], true))
      #expect(try await page("?limit=2&after=job-2") == (["job-1"], false))
      #expect(try await gateway.get("\(Self.jobs)?after=x").status == .badRequest)
      #expect(try await gateway.get("\(Self.jobs)/job-3").json["id"] as? String == "job-3")
      let unknown = try await gateway.get("\(Self.jobs)/job-9")
      #expect(unknown.status == .notFound)
      let cancelled = try await gateway.post("\(Self.jobs)/job-3/cancel", "")
      #expect(cancelled.json["status"] as? String == "cancelled")
      #expect(try await gateway.post("\(Self.jobs)/job-9/cancel", "").status == .notFound)
    }
  }
}
