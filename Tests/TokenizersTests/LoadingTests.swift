import Foundation
import Testing

@testable import Tokenizers

/// Damaged, hostile and unsupported files.
@Suite struct LoadingTests {
  /// A small WordPiece tokenizer; the arguments replace parts of it.
  private static func wordPiece(
    vocab: String = #"{"[UNK]": 0, "[CLS]": 1, "a": 2, "@@b": 3}"#,
    added: String =
      #"[{"id": 1, "content": "[CLS]", "special": true, "normalized": false}]"#,
    normalizer: String = #"{"type": "BertNormalizer"}"#,
    preTokenizer: String = #"{"type": "BertPreTokenizer"}"#,
    postProcessor: String = "null",
    decoder: String = #"{"type": "WordPiece", "prefix": "@@", "cleanup": true}"#,
    model: String? = nil,
    more: String = ""
  ) -> String {
    let model =
      model
      ?? #"{"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "@@", "#
      + #""max_input_chars_per_word": 100, "vocab": \#(vocab)}"#
    return #"{"version": "1.0", "added_tokens": \#(added), "normalizer": \#(normalizer), "#
      + #""pre_tokenizer": \#(preTokenizer), "post_processor": \#(postProcessor), "#
      + #""decoder": \#(decoder), "model": \#(model)\#(more)}"#
  }

  /// A small byte-level BPE tokenizer.
  private static func bpe(merges: String, extra: String = "", dropped: Int? = nil) -> String {
    var vocab: [String] = []
    for (byte, scalar) in ByteAlphabet.scalars.enumerated() where byte != dropped {
      let escape = String(scalar, radix: 16)
      let zeros = String(repeating: "0", count: 4 - escape.count)
      vocab.append(#""\u\#(zeros)\#(escape)": \#(byte)"#)
    }
    let model =
      #"{"type": "BPE", "vocab": {\#(vocab.joined(separator: ","))\#(extra)}, "#
      + #""merges": \#(merges)}"#
    return wordPiece(
      added: "[]",
      normalizer: "null",
      preTokenizer: #"{"type": "ByteLevel", "add_prefix_space": false}"#,
      decoder: #"{"type": "ByteLevel"}"#,
      model: model
    )
  }

  private func error(_ json: String) -> TokenizerError? {
    do {
      _ = try Tokenizer(json: Array(json.utf8))
      return nil
    } catch {
      return error
    }
  }

  @Test func loadsTheSmallTokenizersThatAreDamagedBelow() throws {
    let words = try Tokenizer(json: Array(Self.wordPiece().utf8))
    #expect(try words.encode("ÁB x[CLS]").first?.ids == [2, 3, 0, 1])
    let bytes = try Tokenizer(
      json: Array(
        Self.bpe(merges: #"[["a", "b"], "ab c"]"#, extra: #", "ab": 256, "abc": 257"#).utf8
      )
    )
    #expect(try bytes.encode("abcab").first?.ids == [257, 256])
  }

  @Test(arguments: [
    (wordPiece(normalizer: #"{"type": "NFKC"}"#), "NFKC"),
    (wordPiece(preTokenizer: #"{"type": "Metaspace"}"#), "Metaspace"),
    (wordPiece(postProcessor: #"{"type": "RobertaProcessing"}"#), "RobertaProcessing"),
    (wordPiece(decoder: #"{"type": "BPEDecoder"}"#), "BPEDecoder"),
    (wordPiece(model: #"{"type": "Unigram", "vocab": []}"#), "Unigram"),
    (
      wordPiece(preTokenizer: #"{"type": "ByteLevel", "add_prefix_space": false}"#), "pre_tokenizer"
    ),
    (
      wordPiece(preTokenizer: #"{"type": "ByteLevel", "add_prefix_space": true}"#),
      "add_prefix_space"
    ),
    (wordPiece(preTokenizer: "null"), "pre_tokenizer"),
    (wordPiece(decoder: "null"), "decoder"),
    (bpe(merges: "[]", dropped: 7), "byte 7"),
    (wordPiece().replacing("\"1.0\"", with: "\"2.0\""), "version"),
  ])
  func refusesWhatItDoesNotKnowByName(json: String, name: String) {
    let error = error(json)
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains(name) == true, "\(String(describing: error))")
  }

  @Test(arguments: [
    (wordPiece(vocab: #"{"[UNK]": 0, "a": 0}"#), "same id 0"),
    (wordPiece(vocab: #"{"[UNK]": 0, "a": 1, "a": 2}"#), "twice"),
    (wordPiece(vocab: #"{"[UNK]": -1}"#), "integer from 0"),
    (wordPiece(vocab: #"{"[UNK]": 4000000000}"#), "integer from 0"),
    (wordPiece(vocab: #"{"[UNK]": 1.5}"#), "integer from 0"),
    (wordPiece(vocab: #"{"[UNK]": "0"}"#), "integer from 0"),
    (wordPiece(vocab: "{}"), "no tokens"),
    (wordPiece(vocab: "null"), "vocab is missing"),
    (wordPiece(vocab: "[]"), "must be an object"),
    (wordPiece(vocab: #"{"a": 0}"#, added: "[]"), "[UNK]"),
    (wordPiece(added: #"[{"id": 3, "content": "[CLS]", "special": true}]"#), "id 3 here and 1"),
    (wordPiece(added: #"[{"id": 2, "content": "x", "special": true}]"#), "taken by"),
    (wordPiece(added: #"[{"id": -5, "content": "x", "special": true}]"#), "out of range"),
    (
      wordPiece(
        added: #"[{"id": 9, "content": "x", "special": true},"#
          + #"{"id": 9, "content": "y", "special": true}]"#
      ), "9 is there twice"
    ),
    (wordPiece(added: #"[{"content": "x", "special": true}]"#), "id must be an integer"),
    (wordPiece(added: #"{"x": 1}"#), "must be an array"),
    (wordPiece(postProcessor: #"{"type": "TemplateProcessing"}"#), "single"),
    (
      wordPiece(
        postProcessor: #"{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "Q"}}]}"#
      ),
      "\"Q\" is not in special_tokens"
    ),
    (bpe(merges: #"[["a", "zz"]]"#), "\"zz\" is not in the vocabulary"),
    (bpe(merges: #"[["a", "b"]]"#), "\"ab\" is not in the vocabulary"),
    (bpe(merges: #"[["a"]]"#), "must be two tokens"),
    (bpe(merges: #"["a b c"]"#), "must be two tokens"),
    (bpe(merges: #"{"a": 1}"#), "must be an array"),
    (wordPiece(model: "null"), "model is missing"),
    (wordPiece(model: #""x""#), "must be an object"),
    (wordPiece(more: #", "model": 1"#), "twice"),
    ("", "ends early"), ("null", "must be an object"), ("{", "a key"), ("[", "ends early"),
    ("[1,]", "value"),
    ("{\"a\" 1}", "':'"), ("{} x", "after the value"), ("{\"a\": 01}", "number"),
    ("{\"a\": \"\\ud800\"}", "surrogate"), ("{\"a\": \"\\q\"}", "escape"),
    ("{\"a\": \"\u{1}\"}", "control"), ("{\"a\": \"", "does not end"), ("{\"a\": tru}", "value"),
    (String(repeating: "[", count: 100_000), "nested deeper"),
    (String(repeating: "{\"a\":", count: 100_000), "nested deeper"),
  ])
  func refusesDamagedFilesSayingWhere(json: String, cause: String) {
    let error = error(json)
    #expect(error?.code == .invalidFile)
    #expect(error?.message.contains(cause) == true, "\(String(describing: error))")
  }

  @Test func boundsWhatAFileMayAskFor() {
    let long = String(repeating: "x", count: 129)
    #expect(
      error(Self.wordPiece(added: #"[{"id": 9, "content": "\#(long)", "special": true}]"#))?.code
        == .limitExceeded
    )
    #expect(
      error(Self.wordPiece().replacing("100,", with: "1000000000,"))?.code == .limitExceeded
    )
    #expect(error(Self.wordPiece().replacing("100,", with: "201,"))?.code == .limitExceeded)
    #expect(error(Self.wordPiece().replacing("100,", with: "200,")) == nil)
    let token = String(repeating: "x", count: TokenizerLimits.tokenBytesMax)
    #expect(error(Self.wordPiece(vocab: #"{"[UNK]": 0, "[CLS]": 1, "\#(token)": 2}"#)) == nil)
    #expect(
      error(Self.wordPiece(vocab: #"{"[UNK]": 0, "[CLS]": 1, "\#(token)x": 2}"#))?.code
        == .limitExceeded
    )
    let many = (0..<65).map { _ in #"{"SpecialToken": {"id": "[CLS]"}}"# }.joined(separator: ",")
    let template =
      #"{"type": "TemplateProcessing", "single": [\#(many), {"Sequence": {"id": "A"}}], "#
      + #""special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}}}"#
    #expect(error(Self.wordPiece(postProcessor: template))?.code == .limitExceeded)
    let empty = template.replacing("[1]", with: "[]").replacing(#"["[CLS]"]"#, with: "[]")
      .replacing(#"[{"SpecialToken": {"id": "[CLS]"}},"#, with: "[")
    #expect(error(Self.wordPiece(postProcessor: empty)) == nil)
    let over = empty.replacing("[{", with: #"[{"SpecialToken": {"id": "[CLS]"}},{"#)
    #expect(error(Self.wordPiece(postProcessor: over))?.message.contains("66 pieces") == true)
    let ids = (0..<65).map { _ in "1" }.joined(separator: ",")
    let wide =
      #"{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]"}}, "#
      + #"{"Sequence": {"id": "A"}}], "special_tokens": {"[CLS]": {"id": "[CLS]", "#
      + #""ids": [\#(ids)], "tokens": [\#(ids)]}}}"#
    #expect(error(Self.wordPiece(postProcessor: wide))?.message.contains("65 ids") == true)
  }

  @Test func tokensAreToldApartByTheirBytes() throws {
    let vocab = #"{"[UNK]": 0, "[CLS]": 1, "\u212b": 2, "\u00c5": 3, "A\u030a": 4}"#
    let tokenizer = try Tokenizer(
      json: Array(Self.wordPiece(vocab: vocab, normalizer: "null").utf8)
    )
    #expect(try tokenizer.encode("\u{212B} \u{C5} A\u{30A}").first?.ids == [2, 3, 4])
  }

  @Test func hostileNamesTakeNoTimeAndMakeNoLongMessages() {
    // Swift compares and hashes such a text in time quadratic in its length.
    let marks = "a" + String(repeating: "\u{301}\u{323}", count: 100_000)
    for json in [
      Self.wordPiece(normalizer: #"{"type": "\#(marks)"}"#),
      Self.wordPiece(decoder: #"{"type": "\#(marks)"}"#),
      Self.wordPiece(model: #"{"type": "\#(marks)"}"#),
      Self.wordPiece(vocab: #"{"[UNK]": 0, "\#(marks)": 0}"#),
      Self.wordPiece(added: #"[{"id": 1, "content": "\#(marks)", "special": true}]"#),
      Self.wordPiece(more: #", "\#(marks)": 1, "\#(marks)": 2"#),
      Self.wordPiece().replacing("\"1.0\"", with: "\"\(marks)\""),
    ] {
      #expect(error(json).map { $0.message.utf8.count < 3_000 } == true)
    }
    #expect(TokenizerError(.template, marks).message.unicodeScalars.count == 1_001)
  }

  @Test func takesADropoutOfZero() throws {
    for dropout in ["0", "0.0", "null"] {
      let json = Self.bpe(merges: "[]").replacing(
        #""type": "BPE""#,
        with: #""type": "BPE", "dropout": \#(dropout)"#
      )
      #expect(error(json) == nil)
    }
    let json = Self.bpe(merges: "[]").replacing(
      #""type": "BPE""#,
      with: #""type": "BPE", "dropout": 0.1"#
    )
    #expect(error(json)?.code == .unsupported)
  }

  @Test func aNamedPipeIsRefusedWithoutWaiting() throws {
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "tokenizer-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try #require(mkfifo("\(folder)/tokenizer.json", 0o600) == 0)
    let error = #expect(throws: TokenizerError.self) { try Tokenizer(folder: folder) }
    #expect(error?.message == "\(folder)/tokenizer.json is not a regular file")
  }

  @Test func namesTheMissingFile() {
    #expect(throws: TokenizerError.self) { try Tokenizer(folder: "/nonexistent") }
    do {
      _ = try Tokenizer(folder: "/nonexistent")
    } catch {
      #expect(error.code == .invalidFile)
      #expect(error.message == "/nonexistent/tokenizer.json does not exist")
    }
  }

  @Test func aDamagedTemplateFailsRenderingAndNothingElse() throws {
    let tokenizer = try Tokenizer(
      json: Array(Self.wordPiece().utf8),
      chatTemplate: "{% nonsense %}"
    )
    #expect(try tokenizer.encode("a").first?.ids == [2])
    #expect(throws: TokenizerError.self) { try tokenizer.renderChat([]) }
    let other = try Tokenizer(json: Array(Self.wordPiece().utf8))
    #expect(!other.hasChatTemplate)
    #expect(throws: TokenizerError.self) { try other.renderChat([]) }
  }

  @Test func takesTheTemplateFromTheConfiguration() throws {
    let config =
      #"{"chat_template": [{"name": "tools", "template": "x"}, "#
      + #"{"name": "default", "template": "{{ bos_token }}!"}], "bos_token": {"content": "<s>"}}"#
    let tokenizer = try Tokenizer(
      json: Array(Self.wordPiece().utf8),
      config: Array(config.utf8)
    )
    #expect(try tokenizer.renderChat([]) == "<s>!")
  }

  @Test func randomBytesAndMutationsAsFilesNeverCrash() {
    var random = SeededRandom(seed: 1)
    let seeds = [
      Array(Self.wordPiece().utf8),
      Array(Self.bpe(merges: #"[["a", "b"], "ab c"]"#, extra: #", "ab": 256, "abc": 257"#).utf8),
    ]
    let parts = [
      "\"", "{", "}", "[", "]", ":", ",", "\\u", "null", "-1", "1e999", "\u{0}", "é", "99",
    ]
    for _ in 0..<3_000 {
      var json = seeds[Int.random(in: 0..<2, using: &random)]
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let index = Int.random(in: 0..<json.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: json[index] = UInt8.random(in: 0...255, using: &random)
        case 1:
          json.removeSubrange(
            index..<min(json.count, index + Int.random(in: 1...9, using: &random))
          )
        case 2:
          json.insert(
            contentsOf: Array((parts.randomElement(using: &random) ?? "").utf8),
            at: index
          )
        default: json = Array(json[..<index])
        }
        if json.isEmpty { json = [0] }
      }
      if let tokenizer = try? Tokenizer(json: json) {
        _ = try? tokenizer.decode(tokenizer.encode("áb [CLS]abc語 '").first?.ids ?? [])
      }
      let bytes = (0..<Int.random(in: 0...80, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      _ = try? Tokenizer(json: bytes)
      _ = try? ChatTemplate(config: bytes, chatTemplate: nil)
    }
  }
}
