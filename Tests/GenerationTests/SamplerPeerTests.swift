import Testing

@testable import Generation

/// The filters against transformers' logits warpers on random logits.
@Suite("Sampling filters and transformers")
struct SamplerPeerTests {
  struct Case: Codable {
    var logits: [Float]
    var temperature: Float
    var topK: Int
    var topP: Float
  }

  private static let script = """
    import json, sys, torch
    from transformers.generation.logits_process import (
        TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)
    results = []
    for case in json.load(open(sys.argv[1])):
        scores = torch.tensor([case["logits"]], dtype=torch.float32)
        scores = TemperatureLogitsWarper(float(case["temperature"]))(None, scores)
        if case["topK"] > 0:
            scores = TopKLogitsWarper(case["topK"])(None, scores)
        if case["topP"] < 1:
            scores = TopPLogitsWarper(case["topP"])(None, scores)
        results.append(torch.softmax(scores.double(), -1)[0].tolist())
    json.dump(results, open(sys.argv[2], "w"))
    """

  private func cases() -> [Case] {
    var random = Xoshiro256StarStar(seed: 5)
    return (0..<400).map { index in
      let spread = Float.random(in: 0.1...12, using: &random)
      var logits = (0..<Int.random(in: 1...300, using: &random)).map { _ in
        Float.random(in: -spread...spread, using: &random)
      }
      if index % 4 == 0 {  // Ties, as bf16 weights make them, and tokens that are impossible.
        logits = logits.map { $0.rounded() }
        if logits.count > 1 { logits[logits.count / 2] = -1e30 }
      }
      return Case(
        logits: logits,
        temperature: Float.random(in: 0.05...2, using: &random),
        topK: index % 3 == 0 ? 0 : Int.random(in: 1...60, using: &random),
        topP: index % 5 == 0 ? 1 : Float.random(in: 0.01...0.999, using: &random)
      )
    }
  }

  @Test(
    "probabilities equal those of transformers",
    .enabled(if: Environment.hasPeers, "needs the Python peers (LLMOS_PEERS)")
  )
  func probabilities() async throws {
    let cases = cases()
    let expected = try await Environment.runPeer(Self.script, cases, as: [[Double]].self)
    try #require(expected.count == cases.count)
    var filter = SamplingFilter()
    for (test, reference) in zip(cases, expected) {
      let parameters = try SamplingParameters(
        temperature: test.temperature,
        topK: test.topK,
        topP: test.topP
      )
      filter.fill(test.logits, largest: test.logits.max() ?? 0, parameters)
      let total = Double(filter.weights.reduce(0, +))
      // Which of several equally likely tokens top-p leaves out is not defined there: compare the
      // probabilities in order, and by token only where they are all different.
      let weights = filter.weights.map { Double($0) / total }
      // What is below f32's range is 0 here.
      let kept = reference.filter { $0 > 1e-30 }
      let ours = weights.filter { $0 > 1e-30 }
      #expect(kept.count == ours.count, "kept \(kept.count), we \(ours.count): \(test)")
      for (a, b) in zip(kept.sorted(by: >), ours.sorted(by: >)) { #expect(abs(a - b) < 1e-5) }
      guard Set(test.logits).count == test.logits.count else { continue }
      for (a, b) in zip(reference, weights) { #expect(abs(a - b) < 1e-5) }
    }
  }
}
