internal import Checkpoints
internal import Models

/// What the engine needs of a model.
///
/// A seam: tests of the engine bring models that stall and fail.
protocol SequenceModel: Sendable {
  var vocabularySize: Int { get }
  var contextTokens: Int { get }
  var endOfSequenceIDs: [UInt32] { get }
  /// The most tokens of one step.
  var prefillTokensMax: Int { get }
  /// What a sequence takes for each token of its capacity.
  var cacheBytesPerToken: Int { get }

  /// A new sequence with room for `capacityTokens` tokens.
  func makeSequence(capacityTokens: Int) throws -> any ModelSequence
}

/// A sequence that a model continues; used on the engine thread only.
protocol ModelSequence: AnyObject {
  /// Appends `tokens` and writes the logits of the last position, `[vocabulary]` f32.
  func forward(_ tokens: [UInt32], logits: inout [Float]) throws
}

/// The decoder models of the suite.
struct CausalSequenceModel: SequenceModel {
  let model: CausalLanguageModel

  var vocabularySize: Int { model.configuration.vocabularySize }
  var contextTokens: Int { model.configuration.contextTokens }
  var endOfSequenceIDs: [UInt32] { model.configuration.endOfSequenceIDs }
  var prefillTokensMax: Int { model.prefillTokensMax }
  var cacheBytesPerToken: Int { model.cacheBytesPerToken }

  func makeSequence(capacityTokens: Int) throws -> any ModelSequence {
    Sequence(model: model, state: try model.makeSequence(capacityTokens: capacityTokens))
  }

  private final class Sequence: ModelSequence {
    private let model: CausalLanguageModel
    private let state: SequenceState

    init(model: CausalLanguageModel, state: SequenceState) {
      self.model = model
      self.state = state
    }

    func forward(_ tokens: [UInt32], logits: inout [Float]) throws {
      try model.forward(tokens, in: state, logits: &logits)
    }
  }
}
