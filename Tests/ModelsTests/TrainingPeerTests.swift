import CKernels
import Checkpoints
import Foundation
import Tensors
import Testing

@testable import Models

@Suite("Training computes what PyTorch does")
struct TrainingPeerTests {
  private struct Sequence: Encodable {
    let ids: [UInt32]
    let labels: [Int]
  }

  private struct Case: Encodable {
    let folder: String
    let task: String
    let sequences: [Sequence]
    let scale: Float
    let rate: Float
    let steps: Int
  }

  /// The Python that has PyTorch; nil where it is not installed.
  static let python: String? = {
    let environment = ProcessInfo.processInfo.environment
    let peers = environment["LLMOS_PEERS"] ?? "\(environment["HOME"] ?? "")/.cache/llmos-peers"
    let path = "\(peers)/venv/bin/python"
    return FileManager.default.isExecutableFile(atPath: path) ? path : nil
  }()

  private let threads = ThreadPool(threadCount: 2)

  @Test(
    "Gradients of every parameter, and the losses of SGD steps, of models that transformers loads",
    .enabled(if: python != nil, "needs the Python peers (LLMOS_PEERS)"),
    arguments: ["ner", "chat", "text"]
  )
  func parity(name: String) async throws {
    let (model, sequences) = try makeCase(name)
    let folder = try ModelFolderForTest()
    try model.save(folder: folder.path, elementType: .float32)
    let test = Case(
      folder: folder.path,
      task: model.configuration.task.rawValue,
      sequences: sequences,
      scale: 1 / 16,
      rate: name == "chat" ? 0.002 : 0.02,
      steps: 3
    )
    try await runPeer(test, folder)
    let reference = try SafetensorsFile(path: "\(folder.path)/gradients.safetensors")
    let losses = try JSONDecoder().decode(
      [Float].self,
      from: try Data(contentsOf: URL(filePath: "\(folder.path)/losses.json"))
    )
    var batch = PackedBatch()
    for sequence in sequences {
      batch.append(
        sequence.ids,
        labels: sequence.labels.map { $0 < 0 ? Graph.ignoredLabel : UInt32($0) }
      )
    }
    for (step, expected) in losses.enumerated() {
      let loss = try model.step(batch, scale: test.scale, dropout: 0)
      #expect(abs(loss - expected) <= 2e-4 * abs(expected), "step \(step)")
      if step == 0 { try compare(model, reference) }
      for parameter in model.parameters { descend(parameter, rate: test.rate) }
    }
    #expect(losses.count == 3 && losses[2] < losses[0])
  }

  // Kernels, because loops over millions of elements take long in a debug build.

  private func descend(_ parameter: Parameter, rate: Float) {
    let (values, gradients) = (parameter.values, parameter.gradients)
    guard let value = values.baseAddress, let gradient = gradients.baseAddress else { return }
    let rates = [Float](repeating: -rate, count: values.count)
    ck_mul_f32(gradient, gradient, rates, values.count)
    ck_accumulate_f32(value, gradient, values.count)
    memset(gradient, 0, 4 * values.count)
  }

  private func norm(_ values: [Float]) -> Float {
    var sum: Float = 0
    ck_matvec_f32(&sum, values, values, nil, 1, values.count)
    return sum.squareRoot()
  }

  private func compare(_ model: TrainableModel, _ reference: SafetensorsFile) throws {
    #expect(reference.tensorNames.count == model.parameters.count)
    var largest: Float = 0
    var results: [(name: String, size: Float, difference: Float)] = []
    for parameter in model.parameters {
      let expected = try reference.tensor(named: parameter.name).bytes
        .withMemoryRebound(to: Float.self) { Array($0) }
      let gradients = parameter.gradients
      try #require(expected.count == gradients.count)
      var difference = [Float](repeating: -1, count: expected.count)
      ck_mul_f32(&difference, difference, try #require(gradients.baseAddress), expected.count)
      ck_accumulate_f32(&difference, expected, expected.count)
      results.append((parameter.name, norm(expected), norm(difference)))
      largest = max(largest, norm(expected))
    }
    // Gradients that are 0 but for rounding (of key biases) are compared to the largest of all.
    for result in results {
      #expect(result.difference <= 1e-4 * result.size + 1e-6 * largest, "\(result.name)")
    }
  }

  private func makeCase(_ name: String) throws -> (TrainableModel, [Sequence]) {
    var generator = SystemRandomNumberGenerator()
    func sequence(_ ids: [UInt32], labels count: Int) -> Sequence {
      Sequence(
        ids: ids,
        labels: ids.indices.map {
          $0 % 3 == 1 ? -1 : Int.random(in: 0..<count, using: &generator)
        }
      )
    }
    guard name != "chat" else {
      let golden = try Fixtures.golden(ChatGolden.self, in: Fixtures.supportChat)
      let model = try TrainableModel(folder: Fixtures.supportChat, threads: threads, seed: 1)
      return (
        model,
        golden.conversations.prefix(5).map { conversation in
          let ids = conversation.ids + conversation.generated
          let next = ids.dropFirst().map { Int($0) } + [-1]
          return Sequence(ids: ids, labels: next)
        }
      )
    }
    let golden = try Fixtures.golden([SentenceGolden].self, in: Fixtures.nerWikiann)
    let labels = ["yes", "no", "later"]
    let model = try TrainableModel(
      folder: Fixtures.nerWikiann,
      head: name == "ner" ? .asStored : .sequenceClassification(labels: labels),
      threads: threads,
      seed: 1
    )
    return (
      model,
      golden.prefix(12).map { item in
        guard name == "text" else { return sequence(item.ids, labels: 7) }
        let label = Int.random(in: 0..<3, using: &generator)
        return Sequence(ids: item.ids, labels: item.ids.indices.map { $0 == 0 ? label : -1 })
      }
    )
  }

  private func runPeer(_ test: Case, _ folder: ModelFolderForTest) async throws {
    let input = URL(filePath: "\(folder.path)/case.json")
    try JSONEncoder().encode(test).write(to: input)
    let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fixtures/models/gradients.py")
    let process = Process()
    process.executableURL = URL(filePath: try #require(Self.python))
    process.arguments = [script.path, input.path, folder.path]
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
    #expect(process.terminationStatus == 0, "the peer failed")
  }
}

/// A folder for one test, removed with the object.
final class ModelFolderForTest {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "llmos-training-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
