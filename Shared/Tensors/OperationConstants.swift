/// The constants of an attention over the key-value cache.
package struct CachedAttention: Sendable, Hashable {
  /// The layer of the cache that it appends to and reads.
  package var layer: Int
  /// Query heads.
  package var heads: Int
  /// Key and value heads; divides `heads` (grouped-query attention).
  package var kvHeads: Int
  /// The longest sequence, in tokens: the size of the scratch for scores.
  package var contextTokens: Int

  /// Makes the constants; the graph checks them.
  package init(layer: Int, heads: Int, kvHeads: Int, contextTokens: Int) {
    self.layer = layer
    self.heads = heads
    self.kvHeads = kvHeads
    self.contextTokens = contextTokens
  }
}

/// The constants of an attention within the sequences of a packed batch.
package struct PackedAttention: Sendable, Hashable {
  /// Query heads.
  package var heads: Int
  /// Key and value heads; divides `heads` (grouped-query attention).
  package var kvHeads: Int
  /// Whether a row sees only the rows of its sequence up to itself.
  package var isCausal: Bool
  /// The longest sequence, in tokens: the size of the scratch for scores.
  package var sequenceTokensMax: Int
  /// Dropout of the probabilities; nil for none.
  package var dropout: Dropout?

  /// Makes the constants; the graph checks them.
  package init(
    heads: Int,
    kvHeads: Int,
    isCausal: Bool,
    sequenceTokensMax: Int,
    dropout: Dropout? = nil
  ) {
    self.heads = heads
    self.kvHeads = kvHeads
    self.isCausal = isCausal
    self.sequenceTokensMax = sequenceTokensMax
    self.dropout = dropout
  }
}

/// The constants of a dropout.
package struct Dropout: Sendable, Hashable {
  /// The part of the elements that become 0, in `0..<1`.
  package var probability: Float
  /// Tells the places of one model apart: masks of different streams are independent.
  package var stream: UInt32

  /// Makes the constants; the graph checks them.
  package init(probability: Float, stream: UInt32) {
    self.probability = probability
    self.stream = stream
  }
}

/// Which norm a gradient belongs to.
package struct Norm: Sendable, Hashable {
  /// Added to the mean square or the variance.
  package var epsilon: Float
  /// Whether the mean is subtracted (layerNorm) or not (rmsNorm).
  package var isCentered: Bool

  /// Makes the constants.
  package init(epsilon: Float, isCentered: Bool) {
    self.epsilon = epsilon
    self.isCentered = isCentered
  }
}
