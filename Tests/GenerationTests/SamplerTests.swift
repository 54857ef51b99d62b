import Foundation
import Testing

@testable import Generation

@Suite("Sampler")
struct SamplerTests {
  @Test("the generator gives the numbers of its authors' code")
  func generator() {
    var random = Xoshiro256StarStar(state: (1, 2, 3, 4))
    #expect(
      (0..<10).map { _ in random.next() } == [
        11520, 0, 1_509_978_240, 1_215_971_899_390_074_240, 1_216_172_134_540_287_360,
        607_988_272_756_665_600, 16_172_922_978_634_559_625, 8_476_171_486_693_032_832,
        10_595_114_339_597_558_777, 2_904_607_092_377_533_576,
      ]
    )
    var seeder = SplitMix64(state: 1_477_776_061_723_855_037)
    #expect(
      (0..<3).map { _ in seeder.next() } == [
        1_985_237_415_132_408_290, 2_979_275_885_539_914_483, 13_511_426_838_097_143_398,
      ]
    )
  }

  @Test("parameters out of range are refused by name")
  func parameters() throws {
    for temperature: Float in [-0.1, 2.1, .nan, .infinity, -.infinity] {
      let error = #expect(throws: GenerationError.self) {
        try SamplingParameters(temperature: temperature)
      }
      #expect(error?.message.hasPrefix("temperature is") == true)
    }
    for topP: Float in [0, -1, 1.01, .nan, .infinity] {
      let error = #expect(throws: GenerationError.self) { try SamplingParameters(topP: topP) }
      #expect(error?.message.hasPrefix("top_p is") == true)
    }
    let error = #expect(throws: GenerationError.self) { try SamplingParameters(topK: -1) }
    #expect(error?.code == .invalidArgument && error?.message.hasPrefix("top_k is -1") == true)
    _ = try SamplingParameters(temperature: 2, topK: .max, topP: .leastNonzeroMagnitude)
  }

  @Test("greedy takes the first of the largest logits")
  func greedy() throws {
    var sampler = Sampler(.greedy)
    #expect(try sampler.sample([1, 3, 2, 3]) == 1)
    #expect(try sampler.sample([-.infinity, -5]) == 1)
    #expect(try sampler.sample([.nan, 1, .nan, 2]) == 3)
  }

  @Test("NaN is never chosen, and infinity always")
  func notNumbers() throws {
    var sampler = Sampler(try SamplingParameters(temperature: 1, topK: 3, topP: 0.99, seed: 1))
    for _ in 0..<200 {
      #expect(try [1, 3].contains(sampler.sample([.nan, 1, -.infinity, 1, .nan])))
    }
    #expect(try sampler.sample([0, .infinity, 5, .infinity]) == 1)
    for logits: [Float] in [[], [.nan, .nan], [-.infinity, .nan]] {
      let error = #expect(throws: GenerationError.self) { try sampler.sample(logits) }
      #expect(error?.code == .modelFailure)
    }
  }

  @Test("the smallest temperatures and the widest logits do not overflow")
  func extremes() throws {
    var cold = Sampler(try SamplingParameters(temperature: .leastNonzeroMagnitude, seed: 1))
    #expect(try cold.sample([3e38, -3e38, 2e38]) == 0)
    var warm = Sampler(try SamplingParameters(temperature: 2, topK: 2, topP: 0.5, seed: 1))
    #expect(try warm.sample([-3e38, 3e38, 0]) == 1)
  }

  @Test("the same seed chooses the same tokens, another seed others")
  func seeds() throws {
    let logits = (0..<500).map { Float($0 % 13) * 0.1 }
    func run(_ seed: UInt64?) throws -> [UInt32] {
      var sampler = Sampler(try SamplingParameters(topK: 300, topP: 0.9, seed: seed))
      return try (0..<50).map { _ in try sampler.sample(logits) }
    }
    #expect(try run(7) == run(7))
    #expect(try run(7) != run(8))
    #expect(try run(nil) != run(nil))
  }

  @Test("top-k keeps ties with the last, top-p the fewest that reach p")
  func filters() throws {
    var filter = SamplingFilter()
    func kept(_ logits: [Float], k: Int = 0, p: Float = 1) throws -> [Int] {
      let parameters = try SamplingParameters(topK: k, topP: p)
      filter.fill(logits, largest: logits.max() ?? 0, parameters)
      return filter.weights.indices.filter { filter.weights[$0] > 0 }
    }
    #expect(try kept([1, 5, 3, 3, 0], k: 2) == [1, 2, 3])
    #expect(try kept([1, 5, 3, 3, 0], k: 9) == [0, 1, 2, 3, 4])
    let logits = [0.5, 0.25, 0.125, 0.125].map { Float(log($0)) }
    #expect(try kept(logits, p: 0.4) == [0])
    #expect(try kept(logits, p: 0.51) == [0, 1])
    #expect(try kept(logits, p: 0.76) == [0, 1, 2])
    #expect(try kept(logits, p: 1e-9) == [0])
    #expect(try kept([0, 0, 0, 0], p: 0.3) == [0, 1])
  }

  @Test("selection by sums finds what sorting finds")
  func select() {
    var random = Xoshiro256StarStar(seed: 3)
    for round in 0..<500 {
      let count = Int.random(in: 1...60, using: &random)
      let values = (0..<count).map { _ in Float(Int.random(in: 1...9, using: &random)) }
      let total = Double(values.reduce(0, +))
      let goal = round % 10 == 0 ? total * 2 : Double.random(in: 0.1...total, using: &random)
      var sum = 0.0
      let expected = values.sorted(by: >).first { value in
        sum += Double(value)
        return sum >= goal
      }
      var copy = values
      let found = copy.withUnsafeMutableBufferPointer {
        SamplingFilter.select($0, totalMin: goal) { Double($0) }
      }
      #expect(found == expected ?? values.min())
      let rank = Int.random(in: 1...count, using: &random)
      let ranked = copy.withUnsafeMutableBufferPointer {
        SamplingFilter.select($0, totalMin: Double(rank)) { _ in 1 }
      }
      #expect(ranked == values.sorted(by: >)[rank - 1])
    }
  }

  @Test("samples follow the filtered distribution", arguments: [0.5, 1, 2] as [Float])
  func distribution(temperature: Float) throws {
    let logits: [Float] = [2, 1.5, 0, -1, 0.5, 1.9, -4, 1]
    let parameters = try SamplingParameters(temperature: temperature, topK: 6, topP: 0.95, seed: 11)
    var filter = SamplingFilter()
    filter.fill(logits, largest: 2, parameters)
    let total = filter.weights.reduce(0, +)
    var sampler = Sampler(parameters)
    var counts = [Double](repeating: 0, count: logits.count)
    let draws = 20_000
    for _ in 0..<draws { counts[Int(try sampler.sample(logits))] += 1 }
    // Pearson's statistic of at most 5 degrees of freedom; beyond 30 once in 70,000 seeds.
    var statistic = 0.0
    for (token, weight) in filter.weights.enumerated() where weight > 0 {
      let expected = Double(weight / total) * Double(draws)
      statistic += pow(counts[token] - expected, 2) / expected
      counts[token] = 0
    }
    #expect(statistic < 30)
    #expect(counts.allSatisfy { $0 == 0 })
  }
}
