import Foundation
import Testing
import Tokenizers

@testable import Generation

/// An entity as transformers writes it.
struct PeerEntity: Decodable {
  var entity: String?
  var entityGroup: String?
  var score: Float
  var word: String
  var start: Int
  var end: Int
  var index: Int?

  enum CodingKeys: String, CodingKey {
    case entity, score, word, start, end, index
    case entityGroup = "entity_group"
  }

  /// Whether `ours` is the same, with scores within `tolerance`.
  func equals(_ ours: Entity, tolerance: Float) -> Bool {
    ours.label == entityGroup ?? entity && ours.word == word && ours.start == start
      && ours.end == end && ours.index == index && abs(ours.score - score) <= tolerance
  }
}

/// The demo model's labels and tokenizer.
enum DemoEntities {
  static let labels = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]
  static let tokenizer = Result { try Tokenizer(folder: Environment.entityModel) }
  static func aggregator() throws -> EntityAggregator {
    EntityAggregator(labels: labels, tokenizer: try tokenizer.get())
  }
}

@Suite("Entities of the golden sentences")
struct EntityGoldenTests {
  struct Sentence: Decodable {
    var text: String
    var ids: [UInt32]
    var offsets: [[Int]]
    var logits: [[Float]]
    var entities: [String: [PeerEntity]]
  }

  @Test("all sentences, all strategies", arguments: AggregationStrategy.allCases)
  func golden(strategy: AggregationStrategy) throws {
    let url = URL(fileURLWithPath: "\(Environment.entityModel)/golden.json")
    let sentences = try JSONDecoder().decode([Sentence].self, from: Data(contentsOf: url))
    try #require(sentences.count >= 8)
    let aggregator = try DemoEntities.aggregator()
    for sentence in sentences {
      let windows = try DemoEntities.tokenizer.get().encode(sentence.text).map { EntityWindow($0) }
      try #require(windows.map(\.ids) == [sentence.ids])
      #expect(windows[0].offsets == sentence.offsets.map { $0[0]..<$0[1] })
      let entities = try aggregator.entities(
        in: sentence.text,
        windows: windows,
        logits: [sentence.logits.flatMap { $0 }],
        strategy: strategy
      )
      let expected = try #require(sentence.entities[strategy.rawValue])
      try #require(entities.count == expected.count, "\(sentence.text): \(entities)")
      for (ours, theirs) in zip(entities, expected) {
        // The golden logits are rounded to five digits.
        #expect(theirs.equals(ours, tolerance: 1e-3), "\(ours) \(theirs)")
      }
    }
  }
}
