import Checkpoints
import Files
import Foundation
import Models
import Tensors

@testable import Trainer

/// Base models of a few thousand weights, and data that they learn.
enum TinyModels {
  private static let firstNames = ["anna", "boris", "clara", "david", "emma", "felix"]
  private static let places = ["oslo", "paris", "quito", "rome", "sofia", "tunis"]
  private static let otherWords = [
    "lives", "in", "likes", "the", "rain", "of", "went", "to", "and",
  ]

  private static var vocabulary: [String] {
    let letters = "abcdefghijklmnopqrstuvwxyz".map(String.init)
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + firstNames + places + otherWords + letters
      + letters.map { "##\($0)" }
  }

  /// A BERT encoder of two layers with its tokenizer, in `folder`.
  ///
  /// The embedding of a token that no row has, "[PAD]", is `unused` where that is given.
  static func makeBert(_ folder: String, seed: UInt64 = 1, unused: Float? = nil) throws {
    var configuration = ConfigurationDocument.bert(
      ConfigurationDocument.Sizes(
        vocabulary: vocabulary.count,
        hidden: 32,
        layers: 2,
        heads: 2,
        kvHeads: 2,
        intermediate: 64,
        contextTokens: 48
      ),
      padID: 0
    )
    configuration.setHead(suffix: "ForTokenClassification", labels: ["x", "y"])
    let model = try TrainableModel(
      configuration: configuration,
      threads: ThreadPool(threadCount: 1),
      seed: seed
    )
    if let unused {
      for parameter in model.parameters where parameter.name.contains("word_embeddings") {
        parameter.values[0] = unused
      }
    }
    try model.save(folder: folder, elementType: .float32)
    try writeTokenizer(folder)
  }

  private static func writeTokenizer(_ folder: String) throws {
    let entries = vocabulary.enumerated().map { "\"\($1)\": \($0)" }.joined(separator: ", ")
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].enumerated().map { id, token in
      """
      {"id": \(id), "content": "\(token)", "single_word": false, "lstrip": false,
       "rstrip": false, "normalized": false, "special": true}
      """
    }
    let json = """
      {"version": "1.0", "truncation": null, "padding": null,
       "added_tokens": [\(specials.joined(separator: ", "))],
       "normalizer": {"type": "BertNormalizer", "clean_text": true,
         "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
       "pre_tokenizer": {"type": "BertPreTokenizer"},
       "post_processor": {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
           {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
           "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
       "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
       "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
         "max_input_chars_per_word": 100, "vocab": {\(entries)}}}
      """
    try FileSystem.write(json.utf8, to: "\(folder)/tokenizer.json")
  }

  /// Sentences with persons and places.
  static func entityRows(_ count: Int, seed: UInt64) -> RowList {
    var random = RandomStream(seed: seed, .order, 0)
    func pick(_ words: [String]) -> String { words[random.next(below: words.count)] }
    return RowList(
      (0..<count).map { _ in
        var (tokens, tags): ([String], [String]) = ([], [])
        func add(_ words: [String], _ type: String?) {
          for (index, word) in words.enumerated() {
            tokens.append(word)
            tags.append(type.map { index == 0 ? "B-\($0)" : "I-\($0)" } ?? "O")
          }
        }
        let hasSurname = random.next(below: 2) == 0
        add([pick(firstNames)] + (hasSurname ? ["Smithson"] : []), "PER")
        add(["lives", "in"], nil)
        add([pick(places)], "LOC")
        for _ in 0..<random.next(below: 5) { add([pick(otherWords)], nil) }
        return "{\"tokens\": \(tokens), \"tags\": \(tags)}"
      }
    )
  }

  /// Texts about persons and about places.
  static func textRows(_ count: Int, seed: UInt64) -> RowList {
    var random = RandomStream(seed: seed, .order, 1)
    return RowList(
      (0..<count).map { _ in
        let isPlace = random.next(below: 2) == 0
        let names = isPlace ? places : firstNames
        let name = names[random.next(below: names.count)]
        let other = otherWords[random.next(below: otherWords.count)]
        let words = random.next(below: 2) == 0 ? [other, name] : [name, "and", other]
        let label = isPlace ? "place" : "person"
        return "{\"text\": \"\(words.joined(separator: " "))\", \"label\": \"\(label)\"}"
      }
    )
  }

  /// Questions about capitals with their answers.
  static func chatRows(_ count: Int, seed: UInt64) -> RowList {
    var random = RandomStream(seed: seed, .order, 2)
    let facts = [
      ("France", "Paris"), ("Norway", "Oslo"), ("Italy", "Rome"), ("Ecuador", "Quito"),
    ]
    return RowList(
      (0..<count).map { _ in
        let (country, capital) = facts[random.next(below: facts.count)]
        let question = random.next(below: 2) == 0 ? "What is the capital of" : "Capital of"
        return """
          {"messages": [{"role": "user", "content": "\(question) \(country)?"}, \
          {"role": "assistant", "content": "It is \(capital)."}]}
          """
      }
    )
  }

  /// The settings of a small chat model from scratch.
  static let chatSettings = [
    "scratchHidden": "32", "scratchLayers": "2", "scratchHeads": "4", "scratchKvHeads": "2",
    "scratchIntermediate": "64", "scratchContext": "64", "scratchVocabulary": "300",
    "epochs": "12", "batchSize": "8", "learningRate": "5e-3", "warmup": "5", "dropout": "0",
  ]
}
