internal import Glibc

/// The perplexity of a language model on a text, counted token by token.
package struct Perplexity: Sendable, Equatable, Codable {
  /// The sum over tokens of -ln p.
  package private(set) var negativeLogLikelihood = 0.0
  /// The tokens counted.
  package private(set) var tokens = 0

  /// Creates a count of nothing.
  package init() {}

  /// Counts `tokens` tokens with the sum `negativeLogLikelihood` of -ln p.
  /// - Throws: `invalidArgument` if it is not finite or either is negative.
  package mutating func add(
    negativeLogLikelihood: Double,
    tokens: Int
  ) throws(ReportError) {
    guard negativeLogLikelihood.isFinite, negativeLogLikelihood >= 0, tokens >= 0 else {
      throw ReportError(
        .invalidArgument,
        "perplexity: a negative log likelihood of \(negativeLogLikelihood) over \(tokens) tokens"
      )
    }
    self.negativeLogLikelihood += negativeLogLikelihood
    self.tokens += tokens
  }

  /// The mean of -ln p; 0 of no tokens.
  package var loss: Double { tokens == 0 ? 0 : negativeLogLikelihood / Double(tokens) }

  /// exp(loss); the largest finite number where that is more.
  package var perplexity: Double { min(exp(loss), .greatestFiniteMagnitude) }

  /// One line: perplexity, loss, tokens.
  package func text(digits: Int = 3) -> String {
    let digits = min(max(digits, 0), ReportLimits.digitsMax)
    return """
      perplexity \(perplexity.fixed(digits)) loss \(loss.fixed(digits)) tokens \(tokens)

      """
  }

  /// The counts, loss and perplexity as a JSON object.
  package var json: String {
    jsonText(Summary(loss: loss, perplexity: perplexity, tokens: tokens))
  }

  private struct Summary: Encodable {
    let loss: Double
    let perplexity: Double
    let tokens: Int
  }
}
