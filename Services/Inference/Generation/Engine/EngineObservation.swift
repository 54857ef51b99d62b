/// What an engine measured, told on its thread as it happens.
package enum EngineObservation: Sendable, Equatable {
  /// A request left the queue, this long after it had come.
  case started(queued: Duration)
  /// A generation's first token was chosen, this long after its request had come.
  case firstToken(Duration)
  /// A further token was chosen, this long after the one before it; a pause for the reader counts.
  case nextToken(Duration)
  /// A round of the engine's loop ran this many tokens, of prompts and answers, of all its sequences.
  case round(tokens: Int)
  /// A generation ended with an end-of-sequence token, a stop text or its last token.
  case finished(GenerationFigures)
}

/// What a generation that came to its end took.
package struct GenerationFigures: Sendable, Equatable {
  /// From the request's coming to its start.
  package var queued: Duration
  /// From the start to the first token.
  package var prefill: Duration
  /// From the first token to the last.
  package var decode: Duration
  /// Tokens of the prompt.
  package var promptTokens: Int
  /// Tokens that were generated, an end-of-sequence token included.
  package var completionTokens: Int
}

/// The moments of one generation; used on the engine thread only.
struct GenerationClock {
  private let arrived: ContinuousClock.Instant
  private let started: ContinuousClock.Instant
  private var firstToken: ContinuousClock.Instant?
  private var lastToken: ContinuousClock.Instant

  /// The clock of a generation that starts now, whose request came at `arrived`.
  init(arrived: ContinuousClock.Instant, started: ContinuousClock.Instant = .now) {
    self.arrived = arrived
    self.started = started
    lastToken = started
  }

  /// How long the request waited.
  var queued: Duration { arrived.duration(to: started) }

  /// Notes a token that was chosen, and tells what that says.
  mutating func noteToken(at now: ContinuousClock.Instant = .now) -> EngineObservation {
    defer { lastToken = now }
    guard firstToken != nil else {
      firstToken = now
      return .firstToken(arrived.duration(to: now))
    }
    return .nextToken(lastToken.duration(to: now))
  }

  /// The figures after the last token.
  func figures(promptTokens: Int, completionTokens: Int) -> GenerationFigures {
    let firstToken = firstToken ?? lastToken
    return GenerationFigures(
      queued: queued,
      prefill: started.duration(to: firstToken),
      decode: firstToken.duration(to: lastToken),
      promptTokens: promptTokens,
      completionTokens: completionTokens
    )
  }
}
