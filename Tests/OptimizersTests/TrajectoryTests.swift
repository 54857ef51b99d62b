import Optimizers
import Tensors
import Testing

/// The parameters over 50 steps beside PyTorch's.
@Suite("Trajectories")
struct TrajectoryTests {
  static let tolerance = 1e-5
  private let threads = ThreadPool(threadCount: 2, isPinned: false)

  @Test("every optimizer follows PyTorch's parameters for 50 steps", arguments: 0..<14)
  func committed(number: Int) throws {
    try #require(Fixture.shared.cases.count == 14)
    try compare(Fixture.shared.cases[number])
  }

  @Test(
    "each of the 50 steps equals that of the PyTorch at hand",
    .enabled(if: Fixture.hasPeers, "the Python peers are not installed (LLMOS_PEERS)")
  )
  func live() throws {
    let fixture = try Fixture.live()
    #expect(fixture.cases.count == 14)
    for test in fixture.cases {
      #expect(test.points.count == 50)
      try compare(test)
    }
  }

  private func compare(_ test: Case) throws {
    let problem = Problem(test.kind)
    let step = try stepper(test, problem)
    let rate = try test.schedule()
    var done = 0
    for (index, point) in test.points.enumerated() {
      while done < point.step {
        try step(rate(done))
        done += 1
      }
      if !test.rates.isEmpty {
        #expect(abs(rate(done - 1) - test.rates[index]) < 1e-12, "\(test): rate of step \(done)")
      }
      let gaps = zip(problem.values, point.values).map { abs(Double($0) - $1) }
      #expect(
        gaps.count == 6 && gaps.allSatisfy { $0 <= Self.tolerance },
        "\(test), step \(done): ours \(problem.values), PyTorch's \(point.values)"
      )
    }
    #expect(done == 50)
  }

  /// One step of the optimizer that a case describes.
  private func stepper(_ test: Case, _ problem: Problem) throws -> (Double) throws -> Void {
    if test.algorithm == "lbfgs" {
      let optimizer = try LBFGS(
        [problem.weight, problem.bias],
        options: LBFGSOptions(
          iterationsMax: Int(test.option("max_iter") ?? 20),
          evaluationsMax: test.option("max_eval").map { Int($0) },
          historySize: Int(test.option("history_size") ?? 100),
          lineSearch: test.json["options"]["line_search_fn"].text.isEmpty ? .fixed : .strongWolfe
        ),
        threads: threads
      )
      return { _ = try optimizer.step(learningRate: $0) { problem.evaluate() } }
    }
    let optimizer = try optimizer(test, problem)
    return {
      _ = problem.evaluate()
      _ = try optimizer.step(learningRate: $0, normMax: test.normMax)
    }
  }

  private func optimizer(_ test: Case, _ problem: Problem) throws -> any Optimizer {
    let groups = [
      ParameterGroup([problem.weight]),
      ParameterGroup([problem.bias], learningRateFactor: test.json["bias_rate"].optional ?? 1),
    ]
    let betas = test.json["options"]["betas"].elements.map(\.double)
    switch test.algorithm {
    case "sgd":
      let options = SGDOptions(
        momentum: test.option("momentum") ?? 0,
        dampening: test.option("dampening") ?? 0,
        isNesterov: test.option("nesterov") == 1,
        weightDecay: test.option("weight_decay") ?? 0
      )
      return try SGD(groups, options: options, threads: threads)
    case "adam":
      let options = AdamOptions.adam(
        epsilon: test.option("eps") ?? 1e-8,
        weightDecay: test.option("weight_decay") ?? 0
      )
      return try Adam(groups, options: options, threads: threads)
    default:
      let options = AdamOptions.adamW(
        beta1: betas.first ?? 0.9,
        beta2: betas.last ?? 0.999,
        weightDecay: test.option("weight_decay") ?? 0.01
      )
      return try Adam(groups, options: options, threads: threads)
    }
  }
}
