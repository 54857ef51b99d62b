import Foundation
import ServiceAPI
import Testing

/// ClassifySequence against transformers' text-classification pipeline, on models that transformers makes.
@Suite("Text classification and transformers", .timeLimit(.minutes(5)))
struct SequenceClassifierPeerTests {
  private struct Label: Decodable {
    var label: String
    var score: Float
  }

  private struct Answer: Decodable {
    /// The ids of each text.
    var ids: [[UInt32]]
    /// The labels of each text, the best first, by the name of the function; "" for the implied one.
    var scores: [String: [[Label]]]
  }

  /// Writes a random BERT for each problem type into a folder of its own, and what the pipeline says of the texts.
  private static let script = """
    import json, os, shutil, sys, torch, transformers
    source, target = sys.argv[1:]
    torch.set_num_threads(1)
    with open(f"{source}/tokenizer.json") as file:
        vocabulary = len(json.load(file)["model"]["vocab"])
    texts = [
        "Where is my card?", "I was charged twice for one withdrawal.", "", " ", "word " * 100, "a",
        "naïve Zoë flew to São Paulo 🚀", "[CLS] [SEP] [MASK]", "Tab\\tand\\nline"]
    five = ["card_arrival", "charge", "none of both", "Größe", "O"]
    answers = {}
    for name, problem, labels in [
            ("implied", None, five), ("single", "single_label_classification", five),
            ("multiple", "multi_label_classification", five), ("one", None, ["spam"]),
            ("regression", "regression", ["stars"])]:
        folder = f"{target}/{name}"
        torch.manual_seed(len(name))
        config = transformers.BertConfig(
            vocab_size=vocabulary, hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=96, max_position_embeddings=64, initializer_range=0.4,
            problem_type=problem, id2label=dict(enumerate(labels)),
            label2id={label: index for index, label in enumerate(labels)})
        transformers.BertForSequenceClassification(config).save_pretrained(folder)
        for file in ["tokenizer.json", "tokenizer_config.json"]:
            shutil.copy(f"{source}/{file}", folder)
        pipe = transformers.pipeline(
            "text-classification", model=folder, truncation=True, max_length=64)
        functions = {"": {}} | {
            word: {"function_to_apply": word} for word in ["none", "sigmoid", "softmax"]}
        answers[name] = {
            "ids": [pipe.tokenizer(text, truncation=True, max_length=64)["input_ids"] for text in texts],
            "scores": {
                word: [pipe(text, top_k=None, **options) for text in texts]
                for word, options in functions.items()}}
    with open(f"{target}/answers.json", "w") as file:
        json.dump(answers, file)
    """

  private static let functions: [String: InferenceV1.ScoreFunction] = [
    "": .unspecified, "none": .none, "sigmoid": .sigmoid, "softmax": .softmax,
  ]

  @Test(
    "labels and scores are those of the pipeline, for every problem type and function",
    .enabled(if: python != nil, "needs the Python peers (LLMOS_PEERS)")
  )
  func parity() async throws {
    let folder = NSTemporaryDirectory() + "classifiers-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await Self.runPeer([InferenceFixture.demoModel("ner-wikiann"), folder])
    let answers = try JSONDecoder().decode(
      [String: Answer].self,
      from: Data(contentsOf: URL(filePath: "\(folder)/answers.json"))
    )
    try #require(answers.count == 5)
    let models = answers.keys.map {
      InferenceFixture.Model(name: $0, task: "text-classification", path: "\(folder)/\($0)")
    }
    try await InferenceFixture.run(models: models) { inference in
      for (model, answer) in answers {
        var request = InferenceV1.ClassifySequenceRequest()
        request.model = model
        request.texts = answer.ids.map { ids in
          var sequence = InferenceV1.TokenSequence()
          sequence.ids = ids
          return sequence
        }
        for (word, function) in Self.functions {
          request.scoreFunction = function
          let response = try await inference.client.classifySequence(request)
          let expected = try #require(answer.scores[word])
          try #require(response.texts.count == expected.count)
          for (found, expected) in zip(response.texts, expected) {
            let difference = zip(found.labels, expected).map { abs($0.score - $1.score) }.max()
            #expect(found.labels.map(\.label) == expected.map(\.label), "\(model) \(word)")
            #expect((difference ?? 1) <= 1e-4, "\(model) \(word)")
          }
        }
      }
    }
  }

  /// The Python that has transformers; nil where it is not installed.
  private static let python: String? = {
    let environment = ProcessInfo.processInfo.environment
    let peers = environment["LLMOS_PEERS"] ?? "\(environment["HOME"] ?? "")/.cache/llmos-peers"
    let path = "\(peers)/venv/bin/python"
    return FileManager.default.isExecutableFile(atPath: path) ? path : nil
  }()

  private static func runPeer(_ arguments: [String]) async throws {
    let process = Process()
    process.executableURL = URL(filePath: try #require(python))
    process.arguments = ["-c", script] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1"]
    ) { $1 }
    process.standardOutput = FileHandle.nullDevice
    // Not `waitUntilExit`: it would hold a thread of the pool that other tests need.
    try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Void, any Error>) in
      process.terminationHandler = { _ in continuation.resume() }
      do {
        try process.run()
      } catch {
        process.terminationHandler = nil
        continuation.resume(throwing: error)
      }
    }
    try #require(process.terminationStatus == 0, "the peer failed")
  }
}
