import Checkpoints
import Foundation
import Tensors
import Testing

@testable import Models

@Suite("Saved models")
struct SavingTests {
  private let threads = ThreadPool(threadCount: 2)
  private let ids: [UInt32] = [101, 3_000, 2_003, 1_037, 5_000, 102]

  @Test("A model saved as bf16 has the bytes of the bf16 model that it was loaded from")
  func bfloat16() throws {
    let folder = try ModelFolderForTest()
    for name in [Fixtures.nerWikiann, Fixtures.supportChat] {
      let model = try TrainableModel(folder: name, threads: threads, seed: 0)
      try model.save(folder: folder.path, elementType: .bfloat16)
      let original = try SafetensorsFile(path: "\(name)/model.safetensors")
      let saved = try SafetensorsFile(path: "\(folder.path)/model.safetensors")
      #expect(Set(saved.tensorNames) == Set(original.tensorNames))
      for tensor in original.tensorNames {
        let (old, new) = (try original.tensor(named: tensor), try saved.tensor(named: tensor))
        #expect(old.shape == new.shape && new.elementType == .bfloat16)
        #expect(hasSameBytes(old.bytes, new.bytes))
      }
      #expect(
        try ModelConfiguration(folder: folder.path).labels == model.configuration.labels
      )
      let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      #expect(Set(left) == ["config.json", "model.safetensors"])
    }
  }

  @Test("A bare encoder loads with a new head; the same seed makes the same head")
  func bareEncoder() throws {
    let folder = try ModelFolderForTest()
    let stored = try SafetensorsFile(path: "\(Fixtures.nerWikiann)/model.safetensors")
    let names = stored.tensorNames.filter { $0.hasPrefix("bert.") }
    try SafetensorsWriter.write(
      path: "\(folder.path)/model.safetensors",
      tensors: try names.map { name in
        let tensor = try stored.tensor(named: name)
        return TensorDescription(
          name: String(name.dropFirst("bert.".count)),
          elementType: tensor.elementType,
          shape: tensor.shape
        )
      }
    ) { tensor, write throws(CheckpointError) in
      try write(try stored.tensor(named: "bert." + tensor.name).bytes)
    }
    try write(folder, ["architectures": ["BertModel"], "id2label": NSNull(), "label2id": NSNull()])
    let labels = ["O", "B-X", "I-X"]
    let models = try [7, 7, 8].map { seed in
      try TrainableModel(
        folder: folder.path,
        head: .tokenClassification(labels: labels),
        threads: threads,
        seed: seed
      )
    }
    let model = models[0]
    #expect(model.configuration.architecture == "BertForTokenClassification")
    #expect(model.configuration.labels == labels)
    let whole = try TrainableModel(folder: Fixtures.nerWikiann, threads: threads, seed: 0)
    for (bare, other) in zip(model.parameters, whole.parameters).dropLast(2) {
      let isSame = hasSameBytes(
        UnsafeRawBufferPointer(bare.values),
        UnsafeRawBufferPointer(other.values)
      )
      #expect(bare.name == other.name && isSame)
    }
    let heads = models.map { Array($0.parameters[$0.parameters.count - 2].values) }
    #expect(heads[0].count == 3 * 384 && heads[0] == heads[1] && heads[0] != heads[2])
    let deviation = (heads[0].reduce(0) { $0 + $1 * $1 } / Float(heads[0].count)).squareRoot()
    #expect(abs(deviation - 0.02) < 0.002)
    #expect(model.parameters.last?.values.allSatisfy { $0 == 0 } == true)
  }

  @Test("A stored head with the same labels is kept, with others it is new")
  func heads() throws {
    let stored = try TrainableModel(folder: Fixtures.nerWikiann, threads: threads, seed: 0)
    func head(_ labels: [String]) throws -> [Float] {
      let model = try TrainableModel(
        folder: Fixtures.nerWikiann,
        head: .tokenClassification(labels: labels),
        threads: threads,
        seed: 0
      )
      return Array(model.parameters[model.parameters.count - 2].values)
    }
    let expected = Array(stored.parameters[stored.parameters.count - 2].values)
    #expect(try head(stored.configuration.labels) == expected)
    #expect(try head(stored.configuration.labels.reversed()) != expected)
  }

  @Test("A text classifier that was saved is served with the same logits")
  func textClassifier() throws {
    let model = try TrainableModel(
      folder: Fixtures.nerWikiann,
      head: .sequenceClassification(labels: ["a", "b", "c", "d"]),
      threads: threads,
      seed: 5
    )
    let folder = try ModelFolderForTest()
    try model.save(folder: folder.path, elementType: .float32)
    let served = try SequenceClassificationModel(folder: folder.path, threads: threads)
    #expect(served.labels == ["a", "b", "c", "d"])
    var batch = PackedBatch()
    batch.append([101, 102])
    batch.append(ids)
    let logits = Array(try model.logits(batch))
    #expect(maximumDifference(try served.logits(ids), Array(logits[8..<12])) < 1e-4)
    let error = #expect(throws: ModelError.self) { try served.logits([]) }
    #expect(error?.code == .invalidInput)
  }

  @Test("What cannot be saved is an error")
  func errors() throws {
    let model = try TrainableModel(folder: Fixtures.supportChat, threads: threads, seed: 0)
    var error = #expect(throws: ModelError.self) {
      try model.save(folder: "/nonexistent/folder", elementType: .float32)
    }
    #expect(error?.message.contains("cannot be created") == true)
    error = #expect(throws: ModelError.self) {
      try model.save(folder: "/tmp", elementType: .int8)
    }
    #expect(error?.code == .unsupported)
    error = #expect(throws: ModelError.self) {
      try TrainableModel(
        folder: Fixtures.supportChat,
        head: .tokenClassification(labels: ["O"]),
        threads: threads,
        seed: 0
      )
    }
    #expect(error?.code == .unsupported)
  }

  private func write(_ folder: ModelFolderForTest, _ changes: [String: Any]) throws {
    let data = try Data(
      contentsOf: URL(filePath: Fixtures.nerWikiann).appending(path: "config.json")
    )
    var object = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
    for (key, value) in changes { object[key] = value is NSNull ? nil : value }
    try JSONSerialization.data(withJSONObject: object)
      .write(to: URL(filePath: "\(folder.path)/config.json"))
  }
}
