/// How the next token is chosen from the logits; values of this type are valid.
///
/// The filters apply in the order of Hugging Face transformers: temperature, top-k, top-p.
package struct SamplingParameters: Sendable, Equatable {
  /// The accepted temperatures.
  package static let temperatureRange: ClosedRange<Float> = 0...2

  /// Divides the logits; 0 is greedy: the first of the most likely tokens.
  package let temperature: Float
  /// Choose among the k most likely tokens (and those that tie with the last of them); 0 is off.
  package let topK: Int
  /// Choose among the fewest tokens whose probabilities add up to at least this; 1 is off.
  package let topP: Float
  /// Same seed, same request, same answer; nil draws a seed at random.
  package let seed: UInt64?

  /// The most likely token, always.
  package static let greedy = SamplingParameters(
    uncheckedTemperature: 0,
    topK: 0,
    topP: 1,
    seed: nil
  )

  /// Checks the parameters; throws `invalidArgument` naming the one out of its range.
  package init(
    temperature: Float = 1,
    topK: Int = 0,
    topP: Float = 1,
    seed: UInt64? = nil
  ) throws(GenerationError) {
    guard Self.temperatureRange.contains(temperature) else {  // NaN is in no range.
      throw GenerationError(
        .invalidArgument,
        "temperature is \(temperature); 0 to 2 is accepted"
      )
    }
    guard topK >= 0 else {
      throw GenerationError(.invalidArgument, "top_k is \(topK); 0 (off) or more is accepted")
    }
    guard topP > 0, topP <= 1 else {
      throw GenerationError(
        .invalidArgument,
        "top_p is \(topP); greater than 0 and at most 1 is accepted"
      )
    }
    self.init(uncheckedTemperature: temperature, topK: topK, topP: topP, seed: seed)
  }

  private init(uncheckedTemperature temperature: Float, topK: Int, topP: Float, seed: UInt64?) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
  }
}
