import Foundation
import Testing
import Tokenizers

@testable import Generation

/// The aggregation against transformers' pipeline on the demo model: the pipeline's own logits go in,
/// its entities must come out.
@Suite("Entities and transformers")
struct EntityPeerTests {
  struct Case: Codable {
    var text: String
    /// The model's window; small ones make a text of many windows.
    var windowTokens = 512
    var strideTokens: Int?
  }

  struct Answer: Decodable {
    struct Window: Decodable {
      var ids: [UInt32]
      var logits: [Float]
    }
    var windows: [Window]
    var entities: [String: [PeerEntity]]
  }

  private struct Input: Encodable {
    var model: String
    var cases: [Case]
  }

  private static let script = """
    import json, sys, torch
    from transformers import pipeline
    torch.set_num_threads(1)
    input = json.load(open(sys.argv[1]))
    pipe = pipeline("token-classification", model=input["model"], dtype=torch.float32)
    answers = []
    for case in input["cases"]:
        pipe.tokenizer.model_max_length = case["windowTokens"]
        stride = case.get("strideTokens")
        strategies = ["none", "simple", "first", "average", "max"]
        if stride is not None:
            strategies = strategies[1:]
        entities, windows = {}, []
        for strategy in strategies:
            pre, _, post = pipe._sanitize_parameters(aggregation_strategy=strategy, stride=stride)
            if not windows:
                with torch.no_grad():
                    outputs = [pipe._forward(inputs) for inputs in pipe.preprocess(case["text"], **pre)]
                for output in outputs:
                    count = int(output["attention_mask"][0].sum())
                    windows.append({
                        "ids": output["input_ids"][0][:count].tolist(),
                        "logits": output["logits"][0][:count].flatten().tolist()})
            found = pipe.postprocess(outputs, **post)
            for entity in found:
                entity["score"] = float(entity["score"])
            entities[strategy] = found
        answers.append({"windows": windows, "entities": entities})
    json.dump(answers, open(sys.argv[2], "w"))
    """

  private static let oddTexts = [
    "", " ", "a", "Zoë Müller-Lüdenscheidt flew from Malmö to São Paulo 🚀 with naïve Renée.",
    "👩‍👩‍👧‍👦 met Angela Merkel 🇩🇪 in 東京 and 北京市 with 李小龍.", "日本の東京タワー", "Ŵŷłþ ßtraße ẞ ŒUVRE İstanbul",
    "e\u{301}cole Cafe\u{301} de Flore in Paris", "the qzxv\u{378} of \u{E000} Smith",
    "☃ Paris ☃ ☃London☃",
    "John's car doesn't work, he'd say: \"I'm at St. Mary's\" ... (U.S.A.)",
    "IBM,Google;Apple/Microsoft-Oracle",
    "#hashtag ##double [MASK] [UNK] [SEP] Berlin [CLS]",
    "tab\tseparated\nlines\r\nof London\u{A0}Bridge\u{200B}City",
    "supercalifragilisticexpialidocious Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch",
    String(repeating: "x", count: 120) + " Rome",
    "МОСКВА Ленинград Αθήνα Θεσσαλονίκη القاهرة ירושלים กรุงเทพ",
    "1234 5678.90 €100 50% A1B2C3 x86_64",
    "Mr. O'Neill-Smith Jr. joined Procter & Gamble (P&G) in Köln",
    "\u{FEFF}Barack Obama\u{0} and \u{FFFD}Michelle", "ﬁnland ①② Ⅳ ｆｕｌｌ ｗｉｄｔｈ Ｔｏｋｙｏ",
  ]

  private func sentences() throws -> [String] {
    let content = try String(contentsOfFile: Environment.wikiann, encoding: .utf8)
    return content.components(separatedBy: "\n\n").map { block in
      block.split(separator: "\n").compactMap { line in
        line.split(whereSeparator: { $0 == " " || $0 == "\t" }).first.map(String.init)
      }.joined(separator: " ")
    }.filter { !$0.isEmpty }
  }

  private func compare(_ cases: [Case]) async throws {
    let input = Input(model: Environment.entityModel, cases: cases)
    let answers = try await Environment.runPeer(Self.script, input, as: [Answer].self)
    try #require(answers.count == cases.count)
    let tokenizer = try DemoEntities.tokenizer.get()
    let aggregator = try DemoEntities.aggregator()
    var found = 0
    for (test, answer) in zip(cases, answers) {
      let options = EncodingOptions(
        windowTokens: test.windowTokens,
        strideTokens: test.strideTokens ?? 0,
        overflow: test.strideTokens != nil
      )
      let windows = try tokenizer.encode(test.text, options: options).map { EntityWindow($0) }
      guard windows.map(\.ids) == answer.windows.map(\.ids) else {
        Issue.record("other tokens: \(test)")
        continue
      }
      for (name, expected) in answer.entities {
        let strategy = try #require(AggregationStrategy(rawValue: name))
        let entities = try aggregator.entities(
          in: test.text,
          windows: windows,
          logits: answer.windows.map(\.logits),
          strategy: strategy
        )
        found += entities.count
        // Sums in another order differ in the last bits of f32.
        let same =
          entities.count == expected.count
          && zip(expected, entities).allSatisfy { $0.equals($1, tolerance: 1e-5) }
        #expect(same, "\(strategy) \(test): \(entities), transformers: \(expected)")
      }
    }
    #expect(found > cases.count, "hardly any entities: the comparison shows nothing")
  }

  @Test(
    "sentences of WikiANN and odd texts, all strategies",
    .enabled(
      if: Environment.hasPeers && Environment.hasData,
      "needs the Python peers (LLMOS_PEERS) and data (LLMOS_SHARED)"
    )
  )
  func sentencesAndOddTexts() async throws {
    let all = try sentences()
    let chosen = stride(from: 0, to: all.count, by: max(1, all.count / 300)).map { all[$0] }
    try await compare((chosen + Self.oddTexts).map { Case(text: $0) })
  }

  @Test(
    "long texts in overlapping windows, and cut ones",
    .enabled(
      if: Environment.hasPeers && Environment.hasData,
      "needs the Python peers (LLMOS_PEERS) and data (LLMOS_SHARED)"
    )
  )
  func windows() async throws {
    let all = try sentences() + Self.oddTexts
    var random = Xoshiro256StarStar(seed: 9)
    let cases = (0..<60).map { index in
      let text = (0..<Int.random(in: 1...12, using: &random)).map { _ in
        all[Int.random(in: 0..<all.count, using: &random)]
      }.joined(separator: " ")
      let window = Int.random(in: 12...64, using: &random)
      let stride = index % 5 == 0 ? nil : Int.random(in: 0...window - 4, using: &random)
      return Case(text: text, windowTokens: window, strideTokens: stride)
    }
    try await compare(cases)
  }
}
