import Foundation
import JSON
import Testing

@testable import Tokenizers

/// The results that transformers gave for the demo models, which are in their folders.
@Suite struct GoldenTests {
  @Test func encodesTheGoldenSentencesToTheirIDsAndOffsets() throws {
    let tokenizer = try Models.entities.get()
    let path = "\(Places.model("ner-wikiann"))/golden.json"
    let golden = try JSONValue.read(Data(contentsOf: URL(filePath: path)))
    #expect(!golden.elements.isEmpty)
    for sentence in golden.elements {
      let encoding = try #require(try tokenizer.encode(sentence["text"].text).first)
      #expect(encoding.ids == sentence["ids"].ids)
      let offsets = sentence["offsets"].elements.map { pair in pair.elements.map(\.int) }
      #expect(encoding.offsets.map { [$0.lowerBound, $0.upperBound] } == offsets)
      #expect(encoding.special.first == true && encoding.special.last == true)
    }
  }

  @Test func encodesTheGoldenPromptsToTheirIDs() throws {
    let tokenizer = try Models.chat.get()
    let path = "\(Places.model("support-chat"))/golden.json"
    let golden = try JSONValue.read(Data(contentsOf: URL(filePath: path)))
    let conversations = golden["conversations"].elements
    #expect(conversations.count == 28)
    for conversation in conversations {
      let prompt = conversation["prompt"].text
      let options = EncodingOptions(addSpecialTokens: false)
      #expect(try tokenizer.encode(prompt, options: options).first?.ids == conversation["ids"].ids)
      #expect(try tokenizer.decode(conversation["generated"].ids) == conversation["answer"].text)
    }
  }
}
