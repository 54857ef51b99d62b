import Foundation
import Models
import Tensors
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
  static let labels = ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"]
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

  private func sentences() throws -> [Sentence] {
    let url = URL(fileURLWithPath: "\(Environment.entityModel)/golden.json")
    let sentences = try JSONDecoder().decode([Sentence].self, from: Data(contentsOf: url))
    try #require(sentences.count >= 8)
    return sentences
  }

  /// Compares the entities that `logits` give with the golden ones, for every strategy.
  private func check(_ sentence: Sentence, logits: [Float]) throws {
    let windows = try DemoEntities.tokenizer.get().encode(sentence.text).map { EntityWindow($0) }
    try #require(windows.map(\.ids) == [sentence.ids])
    #expect(windows[0].offsets == sentence.offsets.map { $0[0]..<$0[1] })
    for strategy in AggregationStrategy.allCases {
      let entities = try DemoEntities.aggregator().entities(
        in: sentence.text,
        windows: windows,
        logits: [logits],
        strategy: strategy
      )
      let expected = try #require(sentence.entities[strategy.rawValue])
      try #require(entities.count == expected.count, "\(strategy) \(sentence.text): \(entities)")
      for (ours, theirs) in zip(entities, expected) {
        #expect(theirs.equals(ours, tolerance: 1e-3), "\(strategy) \(ours) \(theirs)")
      }
    }
  }

  @Test("the golden logits give the golden entities, all strategies")
  func goldenLogits() throws {
    for sentence in try sentences() { try check(sentence, logits: sentence.logits.flatMap { $0 }) }
  }

  @Test("the demo model gives the golden entities, all strategies")
  func demoModel() async throws {
    let sentences = try sentences()
    // The model blocks: it runs on a thread of its own.
    let logits: [[Float]] = try await withCheckedThrowingContinuation { continuation in
      do {
        try EngineThread.start {
          continuation.resume(
            with: Result {
              let model = try TokenClassificationModel(
                folder: Environment.entityModel,
                threads: ThreadPool()
              )
              #expect(model.labels == DemoEntities.labels)
              return try sentences.map { try model.logits($0.ids) }
            }
          )
        }
      } catch {
        continuation.resume(throwing: error)
      }
    }
    for (sentence, logits) in zip(sentences, logits) { try check(sentence, logits: logits) }
  }
}
