import Foundation
import JSON
import Testing

@testable import Tokenizers

/// The same texts through Hugging Face `tokenizers` and through ours, compared in everything.
@Suite(
  .enabled(if: Places.hasPeers, "the Python peers are not installed (LLMOS_PEERS)")
)
struct LiveComparisonTests {
  static let models = ["support-chat", "ner-wikiann"]

  @Test(
    .enabled(if: Places.hasShared, "../shared is absent (LLMOS_SHARED)"),
    arguments: models
  )
  func everyLineOfBanking77EncodesAsInHuggingFace(model: String) throws {
    try compare(model, ["lines", "\(Places.shared)/data/banking77/test.csv"], atLeast: 3_080)
  }

  @Test(
    .enabled(if: Places.hasShared, "../shared is absent (LLMOS_SHARED)"),
    arguments: models
  )
  func everySentenceOfWikiANNEncodesAsInHuggingFace(model: String) throws {
    try compare(model, ["conll", "\(Places.shared)/data/wikiann-en/test.conll"], atLeast: 10_000)
  }

  @Test(arguments: models)
  func hostileUnicodeEncodesAsInHuggingFace(model: String) throws {
    try compare(model, ["random", "3000"], atLeast: 3_000)
  }

  @Test(arguments: models)
  func scalarsOfAllPlanesEncodeAsInHuggingFace(model: String) throws {
    try compare(model, ["scalars", "37"], atLeast: 1_000)
  }

  @Test(arguments: models)
  func windowsAreCutAsInHuggingFace(model: String) throws {
    let tokenizer = try tokenizer(model)
    let rows = try Peer.lines(
      "golden.py",
      ["\(Places.model(model))/tokenizer.json", "windows", "500"]
    )
    #expect(rows.count == 500)
    for row in rows {
      let options = EncodingOptions(
        windowTokens: row["window"].int,
        strideTokens: row["stride"].int ?? 0,
        overflow: true
      )
      let text = try tokenizer.encodeText(row["text"].text, options: options)
      let isEqual = zip(text.windows, row["windows"].elements).allSatisfy { $0.equals($1) }
      #expect(
        isEqual && text.windows.count == row["windows"].elements.count
          && text.tokenCount == row["count"].int,
        "\(row["text"].text.debugDescription)"
      )
    }
  }

  @Test(arguments: models)
  func addedTokensAndOtherSettingsWorkAsInHuggingFace(model: String) throws {
    let path = "\(Places.model(model))/tokenizer.json"
    guard case .object(let base) = try JSONValue.read(Data(contentsOf: URL(filePath: path))) else {
      throw Peer.Failure(message: "\(path) is not an object")
    }
    var failures = 0
    for variant in try Peer.lines("variants.py", [path, "25"]) {
      guard case .object(let changes) = variant["changes"] else { continue }
      var root = JSONObject()
      for member in base.members {
        let isNew = root.append(member.key, changes[member.key] ?? member.value)
        #expect(isNew)
      }
      let section = try JSONSection(.object(root), path: "tokenizer.json")
      let tokenizer = try Tokenizer(root: section, chat: nil)
      for row in variant["rows"].elements {
        let encoding = try #require(try tokenizer.encode(row["text"].text).first)
        let decoded = try tokenizer.decode(encoding.ids)
        if !encoding.equals(row) || !decoded.isIdentical(row["decoded"].text) {
          failures += 1
          if failures <= 5 {
            Issue.record(
              """
              \(row["text"].text.debugDescription) with \(tokenizer.pipeline.addedTokens.tokens)
              ours \(encoding.tokens) \(encoding.offsets) \(decoded.debugDescription)
              theirs \(row["tokens"].elements.map(\.text)) \(row["offsets"].ids) \
              \(row["decoded"].text.debugDescription)
              """
            )
          }
        }
      }
    }
    #expect(failures == 0)
  }

  /// `pre_tokenizer` of Llama 3 and Qwen 2, and digits one by one with a separator.
  static let sequences = [
    [split(KnownPatterns.llama3), byteLevel(usesPattern: false)],
    [split(KnownPatterns.qwen2), byteLevel(usesPattern: false)],
    [
      split(#"\p{N}"#),
      #"{"type": "Split", "pattern": {"String": "-."}, "behavior": "Isolated", "invert": false}"#,
      byteLevel(usesPattern: true),
    ],
  ]

  private static func split(_ pattern: String) -> String {
    let text = JSONValue.string(pattern).serialized()
    return
      #"{"type": "Split", "pattern": {"Regex": \#(text)}, "behavior": "Isolated", "invert": false}"#
  }

  private static func byteLevel(usesPattern: Bool) -> String {
    #"""
    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
    "use_regex": \#(usesPattern)}
    """#
  }

  @Test(arguments: sequences)
  func sequencesOfPatternsSplitAsInHuggingFace(components: [String]) throws {
    let path = "\(Places.model("support-chat"))/tokenizer.json"
    guard case .object(let base) = try JSONValue.read(Data(contentsOf: URL(filePath: path))) else {
      throw Peer.Failure(message: "\(path) is not an object")
    }
    let sequence =
      #"{"type": "Sequence", "pretokenizers": [\#(components.joined(separator: ","))]}"#
    var root = JSONObject()
    for member in base.members {
      let isPreTokenizer = member.key == "pre_tokenizer"
      let value = isPreTokenizer ? try JSONReader.parse(Array(sequence.utf8)) : member.value
      _ = root.append(member.key, value)
    }
    let bytes = Array(JSONValue.object(root).serialized().utf8)
    let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).json")
    try Data(bytes).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let tokenizer = try Tokenizer(json: bytes)
    try compare(tokenizer, file.path, ["random", "2000"], atLeast: 2_000)
  }

  private func tokenizer(_ model: String) throws -> Tokenizer {
    try (model == "support-chat" ? Models.chat : Models.entities).get()
  }

  private func compare(_ model: String, _ source: [String], atLeast count: Int) throws {
    let path = "\(Places.model(model))/tokenizer.json"
    try compare(try tokenizer(model), path, source, atLeast: count)
  }

  private func compare(
    _ tokenizer: Tokenizer,
    _ path: String,
    _ source: [String],
    atLeast count: Int
  ) throws {
    let rows = try Peer.lines("golden.py", [path] + source)
    #expect(rows.count >= count)
    var failures = 0
    for row in rows {
      let encoding = try #require(try tokenizer.encode(row["text"].text).first)
      let decoded = try tokenizer.decode(encoding.ids)
      let all = try tokenizer.decode(encoding.ids, skipSpecialTokens: false)
      let shuffled = try tokenizer.decode(row["shuffled"].ids)
      if !encoding.equals(row) || !decoded.isIdentical(row["decoded"].text)
        || !all.isIdentical(row["decodedAll"].text)
        || !shuffled.isIdentical(row["decodedShuffled"].text)
      {
        failures += 1
        if failures <= 5 {
          Issue.record(
            """
            \(row["text"].text.debugDescription)
            ours \(encoding.ids) \(encoding.offsets) \(encoding.wordIDs) \(decoded.debugDescription)
            theirs \(row["ids"].ids) \(row["offsets"].ids) \(row["words"].elements.map { $0.int }) \
            \(row["decoded"].text.debugDescription)
            """
          )
        }
      }
    }
    #expect(failures == 0)
  }
}

extension String {
  /// Equality of scalars; `==` would let composed and decomposed characters pass.
  func isIdentical(_ other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}

extension Encoding {
  /// Whether it is what `row` of golden.py says.
  func equals(_ row: JSONValue) -> Bool {
    let theirTokens = row["tokens"].elements.map(\.text)
    return ids == row["ids"].ids
      && tokens.count == theirTokens.count
      && zip(tokens, theirTokens).allSatisfy { $0.isIdentical($1) }
      && offsets.flatMap { [$0.lowerBound, $0.upperBound] }
        == row["offsets"].elements.map { $0.int }
      && wordIDs.map { $0 ?? -1 } == row["words"].elements.map { $0.int }
      && special.map { $0 ? 1 : 0 } == row["special"].elements.map { $0.int }
  }
}
