package import Checkpoints
package import Tensors

/// An encoder that scores the labels of each token.
///
/// `logits` may be called from several threads; calls run one after another. It blocks for its turn
/// and for the products, so it must not be called on a thread of the cooperative pool.
package final class TokenClassificationModel: Sendable {
  /// What `config.json` says.
  package var configuration: ModelConfiguration { encoder.configuration }
  /// The names of the labels, by the index of their logit.
  package var labels: [String] { configuration.labels }
  /// Bytes of the weights in memory.
  package var weightBytes: Int { encoder.weightBytes }
  /// Bytes of intermediate values of the largest call.
  package var arenaBytes: Int { encoder.arenaBytes }

  private let encoder: Encoder

  /// Loads `config.json` and `model.safetensors` from `folder`; products run on `threads`.
  ///
  /// Throws `invalidModel`, `unsupported` or `memoryLimit`.
  package init(
    folder: String,
    threads: ThreadPool,
    limits: ModelLimits = ModelLimits()
  ) throws(ModelError) {
    encoder = try Encoder(
      folder: folder,
      task: .tokenClassification,
      threads: threads,
      limits: limits
    )
  }

  /// The logits `[ids.count, labels.count]`, f32, row-major, of one text of 1 to `contextTokens`
  /// tokens with its special tokens.
  ///
  /// Throws `invalidInput` for another length or an id outside the vocabulary.
  package func logits(_ ids: [UInt32]) throws(ModelError) -> [Float] {
    try encoder.logits(ids, rows: ids.count)
  }
}
