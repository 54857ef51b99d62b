import Foundation
import Registry
import Store
import Testing

/// Imports with the inspector of production.
@Suite struct InspectionTests {
  @Test func `The demo models are imported with task, architecture and context`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.openStrict()
    let chat = try await registry.importModel(folder: "\(demoModels)/support-chat").version
    #expect(
      chat.description
        == ModelDescription(task: "text-generation", architecture: "llama", contextTokens: 1_024)
    )
    #expect(!chat.files.map(\.name).contains("golden.json"))
    let entities = try await registry.importModel(folder: "\(demoModels)/ner-wikiann").version
    #expect(
      entities.description
        == ModelDescription(task: "token-classification", architecture: "bert", contextTokens: 512)
    )
    #expect(try await registry.verify("support-chat").damaged.isEmpty)
    #expect(try registry.inconsistencies().isEmpty)
  }

  @Test func `A bare encoder is registered, for training to start from`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.openStrict()
    let folder = try temporary.demoModel("ner-wikiann")
    let path = "\(folder)/config.json"
    let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    let bare = text.replacing("BertForTokenClassification", with: "BertModel")
    try replace(path, with: Data(bare.utf8))
    let version = try await registry.importModel(folder: folder, name: "encoder").version
    #expect(version.description.task == "feature-extraction")
  }

  @Test func `A name stands for one task: a model for another one is refused`() async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.openStrict()
    _ = try await registry.importModel(folder: "\(demoModels)/support-chat")
    let error = try await failure {
      _ = try await registry.importModel(
        folder: "\(demoModels)/ner-wikiann",
        name: "support-chat"
      )
    }
    #expect(error.code == .failedPrecondition)
    #expect(error.message.contains("text-generation"))
    #expect(error.message.contains("token-classification"))
    #expect(try await registry.listModels().map(\.version) == [1])
    #expect(try registry.inconsistencies().isEmpty)
  }

  /// One way to damage a folder: the file, and what is done to its content.
  struct Damage: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let file: String
    let change: @Sendable (Data) -> Data
  }

  static let damages = [
    Damage(testDescription: "weights cut short", file: "model.safetensors") {
      $0.prefix($0.count - 1_000)
    },
    Damage(testDescription: "weights cut in the header", file: "model.safetensors") {
      $0.prefix(100)
    },
    Damage(testDescription: "empty weights", file: "model.safetensors") { _ in Data() },
    Damage(testDescription: "a header length beyond the file", file: "model.safetensors") {
      Data([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]) + $0.dropFirst(8)
    },
    Damage(testDescription: "a header that is no JSON", file: "model.safetensors") {
      $0.prefix(8) + Data("}}".utf8) + $0.dropFirst(10)
    },
    Damage(testDescription: "config cut short", file: "config.json") { $0.prefix($0.count / 2) },
    Damage(testDescription: "config that is a list", file: "config.json") { _ in Data("[]".utf8) },
    Damage(testDescription: "config without architecture", file: "config.json") { _ in
      Data(#"{"model_type": "llama"}"#.utf8)
    },
    Damage(testDescription: "tokenizer cut short", file: "tokenizer.json") {
      $0.prefix($0.count - 10)
    },
    Damage(testDescription: "tokenizer of no kind", file: "tokenizer.json") { _ in
      Data("{}".utf8)
    },
    Damage(testDescription: "generation config that is no JSON", file: "generation_config.json") {
      _ in Data("eos: 2".utf8)
    },
    Damage(testDescription: "template that is no UTF-8", file: "chat_template.jinja") { _ in
      Data([0x7b, 0xff, 0xfe])
    },
  ]

  @Test(arguments: damages)
  func `A damaged file is refused with its name, and the store is as before`(
    damage: Damage
  ) async throws {
    let temporary = try TemporaryStore()
    let registry = try temporary.openStrict()
    let folder = try temporary.demoModel("support-chat")
    let path = "\(folder)/\(damage.file)"
    let content = try Data(contentsOf: URL(fileURLWithPath: path))
    try replace(path, with: damage.change(content))

    let error = try await failure { _ = try await registry.importModel(folder: folder) }
    #expect(error.code == .failedPrecondition)
    #expect(error.message.contains("import \(folder): \(damage.file)"))
    #expect(try await registry.listModels().isEmpty)
    #expect(try registry.inconsistencies().isEmpty)

    try replace(path, with: content)
    #expect(try await registry.importModel(folder: folder).version.version == 1)
  }
}
