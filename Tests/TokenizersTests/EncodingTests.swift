import Testing

@testable import Tokenizers

@Suite struct EncodingTests {
  private func code(_ body: () throws(TokenizerError) -> Void) -> TokenizerError.Code? {
    do {
      try body()
      return nil
    } catch {
      return error.code
    }
  }

  @Test(arguments: [
    EncodingOptions(windowTokens: 2), EncodingOptions(windowTokens: 0),
    EncodingOptions(windowTokens: -1), EncodingOptions(windowTokens: .min),
    EncodingOptions(addSpecialTokens: false, windowTokens: 0),
    EncodingOptions(windowTokens: 8, strideTokens: 6, overflow: true),
    EncodingOptions(windowTokens: 8, strideTokens: .max, overflow: true),
    EncodingOptions(windowTokens: 8, strideTokens: -1, overflow: true),
  ])
  func refusesWindowsThatCannotWork(options: EncodingOptions) throws {
    let tokenizer = try Models.entities.get()
    // Whether the text needs them or not.
    for text in ["", "one", "one two three four five six seven eight nine ten"] {
      #expect(
        code { () throws(TokenizerError) in _ = try tokenizer.encode(text, options: options) }
          == .invalidArgument
      )
    }
  }

  @Test func boundsTheNumberOfWindowsAndTheirTokens() throws {
    let tokenizer = try Models.chat.get()
    let text = String(repeating: " a", count: 5_000)
    let narrow = EncodingOptions(windowTokens: 1, overflow: true)
    #expect(
      code { () throws(TokenizerError) in _ = try tokenizer.encode(text, options: narrow) }
        == .limitExceeded
    )
    let dense = EncodingOptions(windowTokens: 2_000, strideTokens: 1_999, overflow: true)
    #expect(
      code { () throws(TokenizerError) in _ = try tokenizer.encode(text, options: dense) }
        == .limitExceeded
    )
    let good = EncodingOptions(windowTokens: 2_000, strideTokens: 500, overflow: true)
    #expect(try tokenizer.encode(text, options: good).count == 3)
  }

  @Test func cutsAfterTheFirstWindowWithoutOverflowAndCountsTheWholeText() throws {
    let tokenizer = try Models.entities.get()
    // A stride is read only with overflow.
    let options = EncodingOptions(windowTokens: 4, strideTokens: 100)
    let text = try tokenizer.encodeText("one two three four", options: options)
    #expect(text.windows.map(\.tokens) == [["[CLS]", "one", "two", "[SEP]"]])
    #expect(text.tokenCount == 6)
  }

  @Test func theTruncationInTheFileIsNotUsed() throws {
    let tokenizer = try Models.entities.get()
    let text = String(repeating: "word ", count: 300)
    #expect(try tokenizer.encode(text).first?.count == 302)
  }

  @Test func composedAndDecomposedTokensAreDifferent() throws {
    let tokenizer = try Models.chat.get()
    #expect(tokenizer.id(of: "\u{C3}") != nil)
    #expect(tokenizer.id(of: "A\u{303}") == nil)
  }

  @Test func theShortAndTheLongMergeLoopAgree() throws {
    let tokenizer = try Models.chat.get()
    var random = SeededRandom(seed: 9)
    let letters = Array("etaoin shrdlu")
    for _ in 0..<60 {
      let word = String(
        (0..<40).map { _ in letters[Int.random(in: 0..<letters.count, using: &random)] }
          .filter { $0 != " " }
      )
      // The long loop takes pieces of over 48 bytes; each is checked against its parts' result.
      let long = word + word
      let ids = try #require(try tokenizer.encode(long).first?.ids)
      #expect(try tokenizer.decode(ids) == long)
      var tokens = long.utf8.map { byte in
        tokenizer.id(of: String(Character(Unicode.Scalar(byte)))) ?? 0
      }
      guard case .bpe(let model) = tokenizer.pipeline.model else { return }
      model.mergeNaively(&tokens)
      #expect(ids == tokens)
    }
  }

  @Test func longTextsOfOneKindAreEncoded() throws {
    for tokenizer in [try Models.chat.get(), try Models.entities.get()] {
      for part in ["a", "é", " ", "\u{301}\u{323}", "語", "'", "\u{0}"] {
        let text = String(repeating: part, count: 20_000)
        let encoding = try #require(try tokenizer.encode(text).first)
        let count = text.unicodeScalars.count
        #expect(encoding.offsets.allSatisfy { $0.upperBound <= count })
      }
    }
  }
}

extension BPE {
  /// The definition of byte-pair encoding, without any cleverness.
  func mergeNaively(_ tokens: inout [UInt32]) {
    while true {
      var best = MergeTable.none
      var position = 0
      for index in tokens.indices.dropLast() {
        let rank = merges.rank(tokens[index], tokens[index + 1])
        if rank < best { (best, position) = (rank, index) }
      }
      guard best != MergeTable.none else { return }
      tokens.replaceSubrange(position...position + 1, with: [merges.result(best)])
    }
  }
}
