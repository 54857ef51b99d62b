/// Everything an optimizer remembers between steps: restored, it goes on bit for bit as if it had
/// never stopped.
///
/// The settings are not part of it: they belong to the job's configuration.
package struct OptimizerState: Sendable, Equatable {
  /// The algorithm, for example "adamw"; a state is restored into the same one only.
  package var algorithm: String
  /// Whole numbers by name, for example "step".
  package var counters: [String: Int]
  /// Other numbers by name, to be stored with all their bits.
  package var scalars: [String: Double]
  /// Arrays by name: `<what>.<parameter>`, for example "exp_avg.encoder.weight".
  package var arrays: [String: [Float]]

  /// Makes a state.
  package init(
    algorithm: String,
    counters: [String: Int],
    scalars: [String: Double] = [:],
    arrays: [String: [Float]]
  ) {
    self.algorithm = algorithm
    self.counters = counters
    self.scalars = scalars
    self.arrays = arrays
  }

  /// Refuses the state of another algorithm.
  func require(algorithm expected: String) throws(OptimizerError) {
    guard algorithm == expected else {
      throw OptimizerError(
        .invalidState,
        "restore: the state is of \(algorithm), the optimizer is \(expected)"
      )
    }
  }

  /// A counter, which must be there and not be negative.
  func counter(_ name: String) throws(OptimizerError) -> Int {
    guard let value = counters[name], value >= 0 else {
      throw OptimizerError(
        .invalidState,
        "restore: counter \(name) is \(counters[name].map(String.init) ?? "missing")"
      )
    }
    return value
  }

  /// A number, which must be there.
  func scalar(_ name: String) throws(OptimizerError) -> Double {
    guard let value = scalars[name] else {
      throw OptimizerError(.invalidState, "restore: number \(name) is missing")
    }
    return value
  }

  /// An array, which must be there and have `count` elements.
  func array(_ name: String, count: Int) throws(OptimizerError) -> [Float] {
    guard let array = arrays[name] else {
      throw OptimizerError(.invalidState, "restore: array \(name) is missing")
    }
    guard array.count == count else {
      throw OptimizerError(
        .invalidState,
        "restore: array \(name) has \(array.count) elements, the parameter \(count)"
      )
    }
    return array
  }
}
