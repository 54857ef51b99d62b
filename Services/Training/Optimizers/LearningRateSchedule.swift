internal import Glibc

/// The learning rate as a function of the step.
package struct LearningRateSchedule: Sendable, Equatable {
  /// How the rate goes from its peak to its end.
  package enum Decay: Sendable, Equatable {
    /// It stays at the peak.
    case constant
    /// In a straight line to 0.
    case linear
    /// Along half a cosine to `floor` times the peak, with `floor` in 0...1.
    case cosine(floor: Double)
  }

  /// How the rate reaches its peak.
  package enum WarmUp: Sendable, Equatable {
    /// Hugging Face's: in a straight line from 0 in the first step; the decay begins after it.
    case before(steps: Int)
    /// nanoGPT's kind: the decay runs from the first step, and step n of the warm-up has (n+1)/steps
    /// of it.
    case over(steps: Int)

    var steps: Int {
      switch self {
      case .before(let steps), .over(let steps): steps
      }
    }
  }

  /// The highest rate.
  package let peak: Double
  /// The decay.
  package let decay: Decay
  /// The warm-up.
  package let warmUp: WarmUp
  /// The step at which the decay ends; the rate stays as it is then.
  package let totalSteps: Int

  /// Makes a schedule.
  /// - Throws: `invalidArgument`, naming the value.
  package init(
    peak: Double,
    decay: Decay,
    warmUp: WarmUp = .before(steps: 0),
    totalSteps: Int
  ) throws(OptimizerError) {
    try peak.require("peak learning rate", in: 0...Double.greatestFiniteMagnitude)
    if case .cosine(let floor) = decay { try floor.require("cosine floor", in: 0...1) }
    guard totalSteps > 0, warmUp.steps >= 0, warmUp.steps <= totalSteps else {
      throw OptimizerError(
        .invalidArgument,
        "schedule: \(warmUp.steps) steps of warm-up in \(totalSteps) steps"
      )
    }
    self.peak = peak
    self.decay = decay
    self.warmUp = warmUp
    self.totalSteps = totalSteps
  }

  /// The rate of step `step`, which counts from 0.
  package func learningRate(at step: Int) -> Double {
    precondition(step >= 0)
    switch warmUp {
    case .before(let steps) where step < steps: return peak * Double(step) / Double(steps)
    case .before(let steps): return peak * decayed(step - steps, of: totalSteps - steps)
    case .over(let steps):
      let warmth = steps > 0 ? min(1, Double(step + 1) / Double(steps)) : 1
      return peak * warmth * decayed(step, of: totalSteps)
    }
  }

  private func decayed(_ step: Int, of steps: Int) -> Double {
    let progress = min(1, Double(step) / Double(max(1, steps)))
    switch decay {
    case .constant: return 1
    case .linear: return 1 - progress
    case .cosine(let floor):
      return 0.5 * (1 + cos(.pi * progress)) * (1 - floor) + floor
    }
  }
}
