/// What to generate; values of this type are valid, as far as that can be told without the model.
package struct GenerationRequest: Sendable {
  /// The most stop texts.
  package static let stopTextsMax = 16
  /// The most Unicode scalars of a stop text.
  package static let stopTextScalarsMax = 256

  /// The prompt's tokens.
  package let promptIDs: [UInt32]
  /// How tokens are chosen.
  package let sampling: SamplingParameters
  /// The most tokens to generate; nil: as many as the context has room for.
  package let maxTokens: Int?
  /// Texts that end the generation and are not part of it.
  package let stop: [String]

  /// Checks the parameters; throws `invalidArgument` naming the one at fault.
  package init(
    promptIDs: [UInt32],
    sampling: SamplingParameters,
    maxTokens: Int? = nil,
    stop: [String] = []
  ) throws(GenerationError) {
    guard !promptIDs.isEmpty else { throw GenerationError(.invalidArgument, "the prompt is empty") }
    if let maxTokens, maxTokens < 1 {
      throw GenerationError(.invalidArgument, "max_tokens is \(maxTokens); 1 or more is accepted")
    }
    guard stop.count <= Self.stopTextsMax else {
      throw GenerationError(
        .invalidArgument,
        "stop has \(stop.count) texts; at most \(Self.stopTextsMax) are accepted"
      )
    }
    for (index, text) in stop.enumerated() {
      let count = text.unicodeScalars.count
      guard (1...Self.stopTextScalarsMax).contains(count) else {
        throw GenerationError(
          .invalidArgument,
          "stop text \(index) has \(count) characters; 1 to \(Self.stopTextScalarsMax) are accepted"
        )
      }
    }
    self.promptIDs = promptIDs
    self.sampling = sampling
    self.maxTokens = maxTokens
    self.stop = stop
  }

  /// Checks the prompt against the model's vocabulary and context.
  func check(vocabularySize: Int, contextTokens: Int) throws(GenerationError) {
    guard promptIDs.count < contextTokens else {
      throw GenerationError(
        .contextExceeded,
        "the prompt has \(promptIDs.count) tokens; the model's context is \(contextTokens) tokens, "
          + "and at least one must be left for the answer"
      )
    }
    for (index, id) in promptIDs.enumerated() where Int(id) >= vocabularySize {
      throw GenerationError(
        .invalidArgument,
        "prompt token \(index) is \(id); the vocabulary has \(vocabularySize) tokens"
      )
    }
  }
}

/// Why a generation ended.
package enum FinishReason: Sendable, Hashable {
  /// An end-of-sequence token or a stop text.
  case stop
  /// `maxTokens`, or the end of the context.
  case length
}

/// What a generation yields: texts, then one `finished`.
package enum GenerationEvent: Sendable, Hashable {
  /// Whole characters; never empty.
  case text(String)
  /// The end, with token counts; an end-of-sequence token counts.
  case finished(FinishReason, promptTokens: Int, completionTokens: Int)
}
