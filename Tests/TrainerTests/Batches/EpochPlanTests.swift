import Testing

@testable import Trainer

@Suite("Batches")
struct EpochPlanTests {
  private func lengths(_ count: Int) -> [Int] {
    var random = RandomStream(seed: 9, .order, 0)
    return (0..<count).map { _ in 3 + random.next(below: 60) }
  }

  @Test(
    "each sequence is used once, whatever the bucketing",
    arguments: TrainingConfiguration.Bucketing.allCases
  )
  func permutation(_ bucketing: TrainingConfiguration.Bucketing) {
    var configuration = TrainingConfiguration(task: .ner)
    configuration.bucketing = bucketing
    configuration.batchSize = 8
    configuration.accumulation = 3
    let lengths = lengths(1_003)
    let plan = EpochPlan(lengths: lengths, epoch: 0, configuration)
    #expect(plan.order.sorted() == Array(0..<1_003))
    #expect(plan.steps == EpochPlan.steps(count: 1_003, configuration))
    #expect((0..<plan.steps).flatMap { plan.group($0) } == plan.order)
    #expect((0..<plan.steps - 1).allSatisfy { plan.group($0).count == 24 })
  }

  @Test("the order is a function of seed and epoch")
  func isPure() {
    let configuration = TrainingConfiguration(task: .ner)
    let lengths = lengths(500)
    let first = EpochPlan(lengths: lengths, epoch: 0, configuration)
    #expect(EpochPlan(lengths: lengths, epoch: 0, configuration) == first)
    #expect(EpochPlan(lengths: lengths, epoch: 1, configuration) != first)
    var other = configuration
    other.seed = 43
    #expect(EpochPlan(lengths: lengths, epoch: 0, other) != first)
  }

  @Test(
    "sequences of a batch have similar lengths",
    arguments: [
      TrainingConfiguration.Bucketing.window, .noise,
    ]
  )
  func buckets(_ bucketing: TrainingConfiguration.Bucketing) {
    var configuration = TrainingConfiguration(task: .ner)
    configuration.bucketing = bucketing
    let lengths = lengths(3_200)
    func spread(_ configuration: TrainingConfiguration) -> Int {
      let plan = EpochPlan(lengths: lengths, epoch: 0, configuration)
      return (0..<plan.steps).reduce(0) { sum, step in
        let group = plan.group(step).map { lengths[$0] }
        return sum + (group.max() ?? 0) - (group.min() ?? 0)
      }
    }
    var shuffled = configuration
    shuffled.bucketing = .none
    #expect(spread(configuration) * 4 < spread(shuffled))
  }

  @Test("parts hold at most the tokens allowed, in order, and a longer sequence by itself")
  func parts() {
    var examples = ExampleSet()
    for length in [10, 20, 5, 90, 30, 30] {
      let ids = [UInt32](repeating: 1, count: length)
      examples.append(ids: ids, labels: ids)
    }
    let group = Array(0..<6)
    #expect(
      examples.parts(group[...], tokensMax: 60).map(Array.init) == [[0, 1, 2], [3], [4, 5]]
    )
    #expect(examples.parts(group[...], tokensMax: 1_000).map(Array.init) == [group])
    #expect(ExampleSet.partTokensMax(lengths: examples.lengths, size: 3, tokensMax: 60) == 90)
    #expect(ExampleSet.partTokensMax(lengths: examples.lengths, size: 2, tokensMax: 500) == 120)
    #expect(ExampleSet.partTokensMax(lengths: examples.lengths, size: 6, tokensMax: 150) == 150)
  }

  @Test("random streams of different purposes and numbers differ; bounds hold")
  func random() {
    var seen: Set<UInt64> = []
    for number in 0..<50 as Range<UInt64> {
      for purpose in [RandomStream.Purpose.order, .dropout] {
        var stream = RandomStream(seed: 1, purpose, number)
        seen.insert(stream.next())
      }
    }
    #expect(seen.count == 100)
    var stream = RandomStream(seed: 0, .order, 0)
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<7_000 { counts[stream.next(below: 7)] += 1 }
    #expect(counts.allSatisfy { (850...1_150).contains($0) })
  }
}
