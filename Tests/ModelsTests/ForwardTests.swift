import Checkpoints
import Tensors
import Testing

@testable import Models

@Suite("Running models")
struct ForwardTests {
  private let prompt: [UInt32] = [1, 865, 276, 201, 380, 302, 270, 431, 540, 633, 33, 2, 201, 1]

  private func load(threadCount: Int = 2, prefillTokensMax: Int = 256) throws -> CausalLanguageModel
  {
    var limits = ModelLimits()
    limits.prefillTokensMax = prefillTokensMax
    return try CausalLanguageModel(
      folder: Fixtures.supportChat,
      threads: ThreadPool(threadCount: threadCount),
      limits: limits
    )
  }

  private func logits(
    _ model: CausalLanguageModel,
    _ calls: [[UInt32]]
  ) throws -> [Float] {
    let sequence = try model.makeSequence(capacityTokens: calls.reduce(0) { $0 + $1.count })
    var logits: [Float] = []
    for call in calls { try model.forward(call, in: sequence, logits: &logits) }
    return logits
  }

  @Test("Token by token, in pieces or at once: the same logits")
  func pieces() throws {
    let model = try load()
    let whole = try logits(model, [prompt])
    let single = try logits(model, prompt.map { [$0] })
    let pieces = try logits(
      model,
      [Array(prompt[..<5]), Array(prompt[5..<6]), Array(prompt[6...])]
    )
    #expect(maximumDifference(whole, single) < 1e-4)
    #expect(maximumDifference(whole, pieces) < 1e-4)
    let bounded = try load(prefillTokensMax: 3)
    #expect(maximumDifference(whole, try logits(bounded, [prompt])) < 1e-4)
  }

  @Test("Logits are the same bits on 1, 2 and 4 threads")
  func determinism() throws {
    let results = try [1, 2, 4].map { count in
      try logits(try load(threadCount: count), [prompt, [3_245], [613]]).map(\.bitPattern)
    }
    #expect(results[0] == results[1])
    #expect(results[0] == results[2])
  }

  @Test("Sequences of one model do not disturb each other")
  func interleaved() throws {
    let model = try load()
    let alone = try logits(model, [prompt, [5], [9]])
    let first = try model.makeSequence(capacityTokens: 64)
    let second = try model.makeSequence(capacityTokens: 64)
    var values: [Float] = []
    var others: [Float] = []
    try model.forward(prompt, in: first, logits: &values)
    try model.forward([7, 8, 9], in: second, logits: &others)
    try model.forward([5], in: first, logits: &values)
    try model.forward([4_095], in: second, logits: &others)
    try model.forward([9], in: first, logits: &values)
    #expect(values == alone)
    #expect(first.length == prompt.count + 2)
  }

  @Test("Wrong tokens are refused and leave the sequence as it was")
  func wrongTokens() throws {
    let model = try load()
    let sequence = try model.makeSequence(capacityTokens: 16)
    var values: [Float] = []
    try model.forward(prompt, in: sequence, logits: &values)
    var error = #expect(throws: ModelError.self) {
      try model.forward([4_096], in: sequence, logits: &values)
    }
    #expect(error?.code == .invalidInput)
    #expect(error?.message == "forward: token 4096, the vocabulary is 4096")
    error = #expect(throws: ModelError.self) {
      try model.forward([], in: sequence, logits: &values)
    }
    #expect(error?.code == .invalidInput)
    error = #expect(throws: ModelError.self) {
      try model.forward([1, 2, 3], in: sequence, logits: &values)
    }
    #expect(error?.code == .capacityExceeded)
    #expect(
      error?.message == "forward: 14 + 3 tokens, the sequence's capacity is 16"
    )
    #expect(sequence.length == 14)
    try model.forward([5], in: sequence, logits: &values)
    #expect(values == (try logits(model, [prompt, [5]])))
  }

  @Test("A sequence fits the context, or is refused", arguments: [0, -1, 1_025, Int.max])
  func capacity(tokens: Int) throws {
    let model = try load()
    #expect(throws: ModelError.self) { try model.makeSequence(capacityTokens: tokens) }
  }

  @Test("The whole context can be used")
  func wholeContext() throws {
    let model = try load()
    let context = model.configuration.contextTokens
    let sequence = try model.makeSequence(capacityTokens: context)
    var values: [Float] = []
    try model.forward([UInt32](repeating: 77, count: context), in: sequence, logits: &values)
    #expect(sequence.length == context)
    #expect(values.allSatisfy { $0.isFinite })
    #expect(throws: ModelError.self) { try model.forward([1], in: sequence, logits: &values) }
  }

  @Test("A classifier called from many threads answers each with its own logits")
  func concurrentClassification() async throws {
    let model = try TokenClassificationModel(
      folder: Fixtures.nerWikiann,
      threads: ThreadPool(threadCount: 2)
    )
    let golden = try Fixtures.golden([SentenceGolden].self, in: Fixtures.nerWikiann)
    let alone = try golden.map { try model.logits($0.ids) }
    await withTaskGroup(of: Bool.self) { group in
      for index in 0..<24 {
        let sentence = golden[index % golden.count]
        let expected = alone[index % golden.count]
        group.addTask { (try? model.logits(sentence.ids)) == expected }
      }
      for await isEqual in group { #expect(isEqual) }
    }
  }

  @Test("A classifier takes one token to its whole context, and no more")
  func classifierLengths() throws {
    let model = try TokenClassificationModel(
      folder: Fixtures.nerWikiann,
      threads: ThreadPool(threadCount: 2)
    )
    #expect(try model.logits([101]).count == 7)
    #expect(try model.logits([UInt32](repeating: 101, count: 512)).count == 512 * 7)
    for ids in [[], [UInt32](repeating: 101, count: 513), [30_522], [UInt32.max]] {
      let error = #expect(throws: ModelError.self) { try model.logits(ids) }
      #expect(error?.code == .invalidInput)
    }
  }
}
