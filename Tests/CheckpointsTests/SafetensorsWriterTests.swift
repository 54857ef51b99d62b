import Foundation
import Testing

@testable import Checkpoints

@Suite("Writing safetensors")
struct SafetensorsWriterTests {
  private let tensors = [
    TensorDescription(name: "half", elementType: .bfloat16, shape: [3]),
    TensorDescription(name: "matrix \"é\"", elementType: .float32, shape: [2, 2]),
    TensorDescription(name: "scalar", elementType: .int64, shape: []),
  ]

  private func bytes(_ tensor: TensorDescription) -> [UInt8] {
    (0..<tensor.byteCount).map { UInt8($0 + tensor.name.utf8.count) }
  }

  @Test("What was written is read back, and every tensor is aligned")
  func roundTrip() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/model.safetensors"
    try folder.write("model.safetensors", "the old file")
    try SafetensorsWriter.write(path: path, tensors: tensors) {
      tensor,
      write throws(CheckpointError) in
      // In pieces of one byte.
      for byte in bytes(tensor) {
        let result = withUnsafeBytes(of: byte) { piece in
          Result { () throws(CheckpointError) in try write(piece) }
        }
        try result.get()
      }
    }
    let file = try SafetensorsFile(path: path)
    #expect(file.tensorNames.sorted() == tensors.map(\.name).sorted())
    for tensor in tensors {
      let stored = try file.tensor(named: tensor.name)
      #expect(stored.elementType == tensor.elementType && stored.shape == tensor.shape)
      #expect(Array(stored.bytes) == bytes(tensor))
      let address = UInt(bitPattern: stored.bytes.baseAddress)
      #expect(address.isMultiple(of: UInt(tensor.elementType.byteCount)))
    }
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model.safetensors"]
    )
  }

  @Test("A failure leaves the old file, and nothing else")
  func failure() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("model.safetensors", "the old file")
    let error = #expect(throws: CheckpointError.self) {
      try SafetensorsWriter.write(path: path, tensors: tensors) { _, _ in }
    }
    #expect(error?.message.contains("0 bytes for I64 []") == true)
    #expect(throws: CheckpointError.self) {
      try SafetensorsWriter.write(path: path, tensors: tensors + tensors) { _, _ in }
    }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "the old file")
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["model.safetensors"]
    )
    let missing = #expect(throws: CheckpointError.self) {
      try SafetensorsWriter.write(path: "\(folder.path)/no/x", tensors: tensors) { _, _ in }
    }
    #expect(missing?.code == .unwritable)
  }

  @Test("A configuration keeps what it does not know, and takes a new head")
  func configuration() throws {
    let folder = try TemporaryFolder()
    var document = try ConfigurationDocument(folder: demoModel("ner-wikiann"))
    #expect(document.architecture == "BertForTokenClassification")
    document.setHead(suffix: "ForSequenceClassification", labels: ["ü\n\"", "b"])
    document.setElementType(.bfloat16)
    try document.write(folder: folder.path)
    let configuration = try ModelConfiguration(folder: folder.path)
    #expect(configuration.architecture == "BertForSequenceClassification")
    #expect(configuration.labels == ["ü\n\"", "b"])
    let data = try Data(contentsOf: URL(filePath: "\(folder.path)/config.json"))
    let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(object["initializer_range"] as? Double == 0.02)
    #expect(object["dtype"] as? String == "bfloat16")
    #expect((object["label2id"] as? [String: Int])?["b"] == 1)
  }

  @Test("Descriptions from scratch are complete")
  func fromScratch() throws {
    let sizes = ConfigurationDocument.Sizes(
      vocabulary: 100,
      hidden: 32,
      layers: 2,
      heads: 4,
      kvHeads: 2,
      intermediate: 64,
      contextTokens: 128
    )
    let llama = try ConfigurationDocument.llama(sizes, endOfSequenceID: 2, padID: 0).configuration()
    #expect(llama.headSize == 8 && llama.keyValueHeadCount == 2 && llama.endOfSequenceIDs == [2])
    var bert = ConfigurationDocument.bert(sizes, padID: 0)
    bert.setHead(suffix: "ForTokenClassification", labels: ["O"])
    #expect(try bert.configuration().architecture == "BertForTokenClassification")
    var wrong = sizes
    wrong.heads = 5
    #expect(throws: CheckpointError.self) {
      try ConfigurationDocument.llama(wrong, endOfSequenceID: 2, padID: 0).configuration()
    }
  }
}
