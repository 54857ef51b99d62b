import Testing
import Tokenizers

@testable import Generation

@Suite("Entity aggregation")
struct EntityAggregatorTests {
  private func window(_ text: String) throws -> EntityWindow {
    try EntityWindow(DemoEntities.tokenizer.get().encode(text)[0])
  }

  /// Logits of tokens that are certain of these labels.
  private func logits(_ labels: [String], certainty: Float = 8) -> [Float] {
    labels.flatMap { label in DemoEntities.labels.map { $0 == label ? certainty : 0 } }
  }

  @Test("lists that do not fit each other are refused")
  func refuses() throws {
    let aggregator = try DemoEntities.aggregator()
    let window = try window("Angela Merkel")
    let good = logits([String](repeating: "O", count: window.ids.count))
    func message(
      _ windows: [EntityWindow],
      _ logits: [[Float]],
      _ strategy: AggregationStrategy
    )
      -> String?
    {
      let error = #expect(throws: GenerationError.self) {
        try aggregator.entities(
          in: "Angela Merkel",
          windows: windows,
          logits: logits,
          strategy: strategy
        )
      }
      #expect(error?.code == .invalidArgument)
      return error?.message
    }
    #expect(message([window], [], .simple) == "entities: 1 windows, logits of 0")
    #expect(message([window], [Array(good.dropLast())], .max)?.contains("but 34 logits") == true)
    #expect(message([window, window], [good, good], .none)?.contains("in 2 windows") == true)
    #expect(throws: GenerationError.self) {
      try EntityWindow(ids: [1], tokens: [], starts: [0], ends: [1], special: [false])
    }
    #expect(throws: GenerationError.self) {
      try EntityWindow(ids: [1], tokens: ["a"], starts: [2], ends: [1], special: [false])
    }
  }

  @Test("offsets beyond the text, as a hostile caller may send them, do no harm")
  func hostileOffsets() throws {
    let window = try EntityWindow(
      ids: [5, 100],
      tokens: ["a", "[UNK]"],
      starts: [7, 3_000_000_000],
      ends: [4_294_967_295, 4_294_967_295],
      special: [false, false]
    )
    for strategy in AggregationStrategy.allCases {
      let entities = try DemoEntities.aggregator().entities(
        in: "é",
        windows: [window],
        logits: [logits(["B-PER", "I-PER"])],
        strategy: strategy
      )
      #expect(!entities.isEmpty)
    }
  }

  @Test("unknown tokens that each claim the whole text are refused, as are endless tokens")
  func amplification() throws {
    let aggregator = try DemoEntities.aggregator()
    let unknown = try #require(aggregator.tokenizer.unknownTokenID)
    let text = String(repeating: "x", count: 100_000)
    func run(tokens count: Int) throws -> [Entity] {
      let window = try EntityWindow(
        ids: [UInt32](repeating: unknown, count: count),
        tokens: [String](repeating: "[UNK]", count: count),
        starts: [UInt32](repeating: 0, count: count),
        ends: [UInt32](repeating: 100_000, count: count),
        special: [Bool](repeating: false, count: count)
      )
      return try aggregator.entities(
        in: text,
        windows: [window],
        logits: [logits([String](repeating: "B-PER", count: count))],
        strategy: .none
      )
    }
    #expect(try run(tokens: 4).count == 4)
    let error = #expect(throws: GenerationError.self) { try run(tokens: 512) }
    #expect(error?.code == .invalidArgument)
    #expect(throws: GenerationError.self) {
      try EntityWindow(ids: [5], tokens: [text], starts: [0], ends: [1], special: [false])
    }
  }

  @Test("a label that begins an entity ends the one before; ignored labels are left out")
  func groups() throws {
    let text = "ann bob carl paris"
    let window = try window(text)
    let logits = logits(["O", "B-PER", "B-PER", "I-PER", "I-LOC", "O"])
    func run(_ ignored: [String]) throws -> [String] {
      try DemoEntities.aggregator().entities(
        in: text,
        windows: [window],
        logits: [logits],
        strategy: .simple,
        ignoredLabels: ignored
      ).map { "\($0.label) \($0.word)" }
    }
    try #require(window.ids.count == 6)
    #expect(try run(["O"]) == ["PER ann", "PER bob carl", "LOC paris"])
    #expect(try run(["PER"]) == ["LOC paris"])
    #expect(try run(["B-PER"]).count == 3)
  }

  @Test("no text has no entities")
  func empty() throws {
    let aggregator = try DemoEntities.aggregator()
    #expect(try aggregator.entities(in: "", windows: [], logits: [], strategy: .max) == [])
    let window = try window("")
    let entities = try aggregator.entities(
      in: "",
      windows: [window],
      logits: [logits(["O", "O"])],
      strategy: .first
    )
    #expect(entities == [])
  }

  @Test("of overlapping entities the longest stays, of equally long ones the likeliest")
  func overlaps() {
    func entity(_ start: Int, _ end: Int, _ score: Float = 0.5) -> Entity {
      Entity(label: "PER", score: score, word: "w", start: start, end: end)
    }
    #expect(EntityAggregator.withoutOverlaps([]) == [])
    #expect(
      EntityAggregator.withoutOverlaps([
        entity(9, 12), entity(0, 4), entity(2, 8), entity(9, 12, 0.9),
      ])
        == [entity(2, 8), entity(9, 12, 0.9)]
    )
    #expect(EntityAggregator.withoutOverlaps([entity(3, 3)]) == [entity(3, 3), entity(3, 3)])
  }

  @Test("a label's prefix is read as the pipeline reads it")
  func tags() {
    func tag(_ label: String) -> (Bool, String) {
      let (begins, tag) = EntityAggregator.tag(label)
      return (begins, String(Substring(tag)))
    }
    #expect(tag("B-PER") == (true, "PER"))
    #expect(tag("I-A-B") == (false, "A-B"))
    #expect(tag("O") == (false, "O"))
    #expect(tag("X-PER") == (false, "X-PER"))
  }
}
