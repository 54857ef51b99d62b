import Foundation
import JSON
import Testing

@testable import Tokenizers

/// Tokenizers trained by us and by Hugging Face on the same texts.
struct TrainingTests {
  private func train(_ row: JSONValue) throws -> TrainedBPE {
    let options = row["options"]
    var trainer = try BPETrainer(
      BPETrainingOptions(
        vocabularySize: options["size"].int ?? 0,
        minFrequency: options["minFrequency"].int ?? 0,
        specialTokens: options["special"].elements.map(\.text)
      )
    )
    for text in row["texts"].elements { try trainer.add(text.text) }
    #expect(trainer.forgottenWords == 0)
    return trainer.train()
  }

  /// Compares whole files, after which single merges say more.
  private func expectEqual(_ trained: TrainedBPE, _ json: String) throws {
    guard !trained.tokenizerJSON.isIdentical(json) else { return }
    let theirs = try JSONValue.read(json.utf8)["model"]["merges"].elements.map {
      $0.elements.map(\.text)
    }
    let ours = trained.merges.map { [trained.tokens[Int($0.left)], trained.tokens[Int($0.right)]] }
    let rank = zip(ours, theirs).enumerated().first { $0.element.0 != $0.element.1 }?.offset
    Issue.record(
      """
      \(ours.count) merges, theirs \(theirs.count); first other merge: \
      \(rank.map { "\($0): \(ours[$0]), theirs \(theirs[$0])" } ?? "none")
      """
    )
  }

  @Test
  func aSmallCorpusGivesTheFileOfHuggingFaceByteForByte() throws {
    let path = "\(Places.packageRoot)/Tests/Fixtures/tokenizers/trained.json"
    let row = try JSONValue.read(Data(contentsOf: URL(filePath: path)))
    let trained = try train(row)
    try expectEqual(trained, row["json"].text)
    #expect(trained.tokens.count == 330 && trained.merges.count == 71)
  }

  @Test(
    .enabled(if: Places.hasPeers, "the Python peers are not installed (LLMOS_PEERS)"),
    .enabled(if: Places.hasShared, "../shared is absent (LLMOS_SHARED)")
  )
  func theCorpusOfTheDemoModelGivesItsTokenizer() throws {
    let folder = "\(Places.shared)/data/banking77"
    let row = try #require(try Peer.lines("train.py", ["support-chat", folder]).first)
    let trained = try train(row)
    try expectEqual(trained, row["json"].text)
    let path = "\(Places.model("support-chat"))/tokenizer.json"
    let model = try JSONValue.read(Data(contentsOf: URL(filePath: path)))["model"]
    guard case .object(let vocabulary) = model["vocab"] else {
      throw Peer.Failure(message: "no vocabulary")
    }
    #expect(vocabulary.members.map(\.key) == trained.tokens && trained.tokens.count == 4_096)
    #expect(vocabulary.members.map { $0.value.int } == Array(0..<4_096))
    #expect(
      model["merges"].elements.map { $0.elements.map(\.text) }
        == trained.merges.map { [trained.tokens[Int($0.left)], trained.tokens[Int($0.right)]] }
    )
  }

  @Test(
    .enabled(if: Places.hasPeers, "the Python peers are not installed (LLMOS_PEERS)"),
    .enabled(if: Places.hasShared, "../shared is absent (LLMOS_SHARED)")
  )
  func tinyShakespeareGivesTheSameThousandMerges() throws {
    let file = "\(Places.shared)/data/tinyshakespeare/input.txt"
    let row = try #require(try Peer.lines("train.py", ["lines", file, "1256", "2"]).first)
    let trained = try train(row)
    try expectEqual(trained, row["json"].text)
    #expect(trained.merges.count == 1_000)
  }

  @Test(
    .enabled(if: Places.hasPeers, "the Python peers are not installed (LLMOS_PEERS)")
  )
  func overlappingAndEqualPairsMergeAsInHuggingFace() throws {
    let rows = try Peer.lines("train.py", ["random", "100", "60"])
    #expect(rows.count == 60)
    for row in rows { try expectEqual(train(row), row["json"].text) }
  }

  private static let template =
    "{% for m in messages %}<|im_start|>{{ m['role'] + '\\n' + m.content }}\n{% endfor %}\"\\\t"

  private func sample() throws -> TrainedBPE {
    var trainer = try BPETrainer(
      BPETrainingOptions(vocabularySize: 290, specialTokens: ["<|end|>", "<|im_start|>"])
    )
    for _ in 0..<3 { try trainer.add("the cat sat on the mat, the other cat did not") }
    return trainer.train()
  }

  private var settings: TokenizerSettings {
    TokenizerSettings(
      bosToken: "<|im_start|>",
      eosToken: "<|end|>",
      padToken: "<|end|>",
      chatTemplate: Self.template,
      modelTokensMax: 512
    )
  }

  @Test
  func aTrainedTokenizerWorksAtOnceAndSaved() throws {
    let trained = try sample()
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try trained.save(folder: folder, settings)
    #expect(try Set(FileManager.default.contentsOfDirectory(atPath: folder)).count == 2)
    for tokenizer in [try trained.tokenizer(settings), try Tokenizer(folder: folder)] {
      #expect(tokenizer.vocabularySize == 278 && trained.tokens.count == 278)
      let encoding = try #require(try tokenizer.encode("the cat<|end|> ünseen").first)
      #expect(encoding.ids.count < 13 && encoding.ids.contains(0))
      let decoded = try tokenizer.decode(encoding.ids, skipSpecialTokens: false)
      #expect(decoded.isIdentical("the cat<|end|> ünseen"))
      let prompt = try tokenizer.renderChat(
        [ChatMessage(role: "user", content: "hi")],
        addGenerationPrompt: false
      )
      #expect(prompt.contains("<|im_start|>user\nhi"))
    }
  }

  @Test(.enabled(if: Places.hasPeers, "the Python peers are not installed (LLMOS_PEERS)"))
  func transformersLoadsASavedTokenizer() throws {
    let trained = try sample()
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try trained.save(folder: folder, settings)
    let texts = ["the cat sat", "<|im_start|>the<|end|>", "ünseen \n text"]
    let file = "\(folder)/texts.json"
    try JSONEncoder().encode(texts).write(to: URL(filePath: file))
    let row = try #require(try Peer.lines("train.py", ["load", folder, file]).first)
    let tokenizer = try trained.tokenizer(settings)
    for (text, ids) in zip(texts, row["ids"].elements) {
      #expect(try tokenizer.encode(text).first?.ids == ids.ids)
    }
    #expect(row["special"].elements.map(\.text) == ["<|im_start|>", "<|end|>", "<|end|>"])
    #expect(row["longest"].int == 512)
    let prompt = try tokenizer.renderChat(
      [ChatMessage(role: "user", content: "Hi")],
      addGenerationPrompt: true
    )
    #expect(row["chat"].text.isIdentical(prompt))
  }

  @Test
  func memoryIsBoundedByForgettingTheRarestWords() throws {
    let bytesMax = 1 << 16
    var trainer = try BPETrainer(
      BPETrainingOptions(vocabularySize: 270, wordBytesMax: bytesMax)
    )
    for index in 0..<8_000 { try trainer.add("rare\(index * 7_919) common common") }
    #expect(trainer.forgottenWords > 0)
    #expect(trainer.wordCount < bytesMax / 16)
    let trained = trainer.train()
    #expect(trained.tokens.contains("Ġcommon"))
  }

  @Test
  func aCorpusWithoutPairsGivesTheAlphabet() throws {
    var trainer = try BPETrainer(
      BPETrainingOptions(vocabularySize: 300, minFrequency: 3, specialTokens: ["<s>"])
    )
    try trainer.add("ab ab")
    try trainer.add("")
    let trained = trainer.train()
    #expect(trained.merges.isEmpty && trained.tokens.count == 257)
    #expect(trained.tokens[..<3] == ["<s>", "!", "\""])
    #expect(trained.tokenizerJSON.contains("\"merges\": []"))
  }

  @Test
  func tokensAreNoLongerThanAsked() throws {
    var trainer = try BPETrainer(
      BPETrainingOptions(vocabularySize: 400, tokenLengthMax: 6)
    )
    for _ in 0..<9 { try trainer.add(String(repeating: "=", count: 4_001)) }
    let longest = trainer.train().tokens.map(\.utf8.count).max()
    // Hugging Face's bound is exclusive.
    #expect(longest == 5)
  }

  @Test
  func settingsThatMakeNoSenseAreRefused() throws {
    func refused(_ options: BPETrainingOptions) {
      let error = #expect(throws: TokenizerError.self) { try BPETrainer(options) }
      #expect(error?.code == .invalidArgument)
    }
    refused(BPETrainingOptions(vocabularySize: 255))
    refused(BPETrainingOptions(vocabularySize: 256, specialTokens: ["a"]))
    refused(BPETrainingOptions(vocabularySize: 300, specialTokens: ["a", "a"]))
    refused(BPETrainingOptions(vocabularySize: 300, specialTokens: [""]))
    refused(BPETrainingOptions(vocabularySize: 300, minFrequency: -1))
    refused(BPETrainingOptions(vocabularySize: TokenizerLimits.vocabularySizeMax + 1))
    let trained = try sample()
    var settings = settings
    settings.padToken = "<|pad|>"
    #expect(throws: TokenizerError.self) { try trained.configJSON(settings) }
    settings.padToken = nil
    settings.chatTemplate = "{% for"
    let error = #expect(throws: TokenizerError.self) { try trained.configJSON(settings) }
    #expect(error?.code == .template)
    let nowhere = #expect(throws: TokenizerError.self) {
      try trained.save(folder: "/nowhere/at/all", TokenizerSettings(modelTokensMax: 1))
    }
    #expect(nowhere?.message.contains("/nowhere/at/all") == true)
  }
}
