import Testing

@testable import Tokenizers

@Suite struct DecodeStreamTests {
  @Test(arguments: [true, false])
  func thePartsOfAnyTokensAreWholeCharactersAndSumUpToDecode(skipsSpecial: Bool) throws {
    var random = SeededRandom(seed: 3)
    for tokenizer in [try Models.chat.get(), try Models.entities.get()] {
      let size = UInt32(tokenizer.vocabularySize)
      for _ in 0..<400 {
        // Of the chat model the first 260 ids are single bytes, which make broken UTF-8.
        let limit = Bool.random(using: &random) ? min(size, 260) : size + 5
        let ids = (0..<Int.random(in: 0...24, using: &random)).map { _ in
          UInt32.random(in: 0..<limit, using: &random)
        }
        var stream = tokenizer.decodeStream(skipSpecialTokens: skipsSpecial)
        var text = ""
        for id in ids { text += try stream.append(id) }
        text += stream.finish()
        #expect(try text.isIdentical(tokenizer.decode(ids, skipSpecialTokens: skipsSpecial)))
      }
    }
  }

  @Test func aCharacterComesOutWithItsLastByte() throws {
    let tokenizer = try Models.chat.get()
    let options = EncodingOptions(addSpecialTokens: false)
    let ids = try #require(try tokenizer.encode("né👩🏽‍🚀!", options: options).first?.ids)
    var stream = tokenizer.decodeStream()
    var parts: [String] = []
    for id in ids { parts.append(try stream.append(id)) }
    #expect(parts.joined().isIdentical("né👩🏽‍🚀!"))
    #expect(parts.contains(""))
    #expect(!parts.joined().unicodeScalars.contains("\u{FFFD}"))
    #expect(stream.finish() == "")
  }

  @Test func anIncompleteCharacterBecomesAReplacementInTheEnd() throws {
    let tokenizer = try Models.chat.get()
    let id = try #require(tokenizer.id(of: "ð"))
    var stream = tokenizer.decodeStream()
    #expect(try stream.append(id) == "")
    #expect(stream.finish() == "\u{FFFD}")
    #expect(try tokenizer.decode([id]) == "\u{FFFD}")
  }

  @Test func repairsUTF8AsTheStandardLibraryDoes() {
    var random = SeededRandom(seed: 5)
    let interesting: [UInt8] = [
      0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1,
      0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF,
    ]
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...7, using: &random)).map { _ in
        interesting.randomElement(using: &random) ?? 0
      }
      var repair = UTF8Repair()
      var output: [UInt8] = []
      for byte in bytes { repair.append([byte], into: &output) }
      repair.finish(into: &output)
      #expect(String(validating: output, as: UTF8.self) != nil)
      #expect(output == Array(String(decoding: bytes, as: UTF8.self).utf8), "\(bytes)")
    }
  }

  @Test func idsOutsideOfTheVocabularyStandForNoText() throws {
    let tokenizer = try Models.chat.get()
    #expect(try tokenizer.decode([.max, 4_096, 1_000_000]) == "")
    #expect(tokenizer.token(of: 4_096) == nil)
    #expect(tokenizer.token(of: .max) == nil)
    #expect(tokenizer.vocabularySize == 4_096)
  }
}
