import Testing

@testable import Checkpoints

@Suite("Model folders")
struct ModelFolderTests {
  @Test("the demo models are valid", arguments: ["support-chat", "ner-wikiann"])
  func valid(model: String) throws {
    let folder = try ModelFolder.validate(demoModel(model))
    #expect(folder.files.prefix(3) == ["config.json", "model.safetensors", "tokenizer.json"])
    #expect(folder.files.contains("chat_template.jinja") == (model == "support-chat"))
  }

  @Test(
    "a missing file is named",
    arguments: ["config.json", "model.safetensors", "tokenizer.json"]
  )
  func missing(name: String) throws {
    let folder = try TemporaryFolder()
    try folder.copyModel("support-chat", except: [name])
    let error = #expect(throws: CheckpointError.self) { try ModelFolder.validate(folder.path) }
    #expect(error?.code == .notFound && error?.file == name)
  }

  @Test(
    "a truncated file is named",
    arguments: [
      "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
      "generation_config.json",
    ]
  )
  func truncated(name: String) throws {
    let folder = try TemporaryFolder()
    try folder.copyModel("support-chat")
    try folder.truncate(name, to: name == "model.safetensors" ? 10_957_207 : 100)
    let error = #expect(throws: CheckpointError.self) { try ModelFolder.validate(folder.path) }
    #expect(error?.code == .malformed && error?.file == name)
  }

  @Test("a chat template that is not text is named; one that is absent is not needed")
  func template() throws {
    let folder = try TemporaryFolder()
    try folder.copyModel("support-chat", except: ["chat_template.jinja"])
    #expect(try !ModelFolder.validate(folder.path).files.contains("chat_template.jinja"))
    try folder.write("chat_template.jinja", [0xFF, 0xFE])
    let error = #expect(throws: CheckpointError.self) { try ModelFolder.validate(folder.path) }
    #expect(error?.file == "chat_template.jinja")
  }

  @Test("a tokenizer that is not a JSON object is named")
  func tokenizer() throws {
    let folder = try TemporaryFolder()
    try folder.copyModel("support-chat", except: ["tokenizer.json"])
    try folder.write("tokenizer.json", "[]")
    let error = #expect(throws: CheckpointError.self) { try ModelFolder.validate(folder.path) }
    #expect(error?.file == "tokenizer.json" && error?.message.contains("not a JSON object") == true)
  }

  @Test("a folder that does not exist is refused")
  func noFolder() {
    let error = #expect(throws: CheckpointError.self) {
      try ModelFolder.validate("/nonexistent/model")
    }
    #expect(error?.code == .notFound)
  }
}
