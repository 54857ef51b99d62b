internal import Checkpoints
internal import Tensors

/// The BERT encoder with a classifier of each token, or of the text.
///
/// LayerNorm after each block, exact GELU and absolute positions, after Devlin and others, "BERT:
/// Pre-training of Deep Bidirectional Transformers for Language Understanding", 2018. All tokens
/// belong to the first segment.
struct Bert: Architecture {
  private struct LayerNorm {
    let weight: Tensor  // [hidden]
    let bias: Tensor  // [hidden]
  }

  private struct Layer {
    let q: Linear  // [hidden, hidden], as k, v and o
    let k: Linear
    let v: Linear
    let o: Linear
    let attentionNorm: LayerNorm
    let intermediate: Linear  // [intermediate, hidden]
    let output: Linear  // [hidden, intermediate]
    let outputNorm: LayerNorm
  }

  private let configuration: ModelConfiguration
  private let wordEmbedding: Tensor  // [vocabulary, hidden]
  private let positionEmbedding: Tensor  // [context, hidden]
  private let segmentEmbedding: Tensor  // [segments, hidden]
  private let embeddingNorm: LayerNorm
  private let layers: [Layer]
  private let pooler: Linear?  // [hidden, hidden], of a text classifier
  private let classifier: Linear  // [labels, hidden]

  init(_ configuration: ModelConfiguration, _ weights: inout WeightLoader) throws(ModelError) {
    guard configuration.activation == "gelu" else {
      throw ModelError(
        .unsupported,
        "config.json: hidden_act \(configuration.activation), BERT has gelu"
      )
    }
    let hidden = configuration.hiddenSize
    guard configuration.headCount * configuration.headSize == hidden,
      configuration.keyValueHeadCount == configuration.headCount
    else {
      throw ModelError(
        .invalidModel,
        "config.json: \(configuration.headCount) heads (\(configuration.keyValueHeadCount) of "
          + "keys) of \(configuration.headSize) do not make hidden_size \(hidden)"
      )
    }
    guard configuration.typeVocabularySize >= 1 else {
      throw ModelError(.invalidModel, "config.json: type_vocab_size is 0, BERT needs a segment")
    }
    self.configuration = configuration
    let name = "bert.embeddings"
    wordEmbedding = try weights.tensor(
      "\(name).word_embeddings.weight",
      [configuration.vocabularySize, hidden]
    )
    positionEmbedding = try weights.tensor(
      "\(name).position_embeddings.weight",
      [configuration.contextTokens, hidden]
    )
    segmentEmbedding = try weights.tensor(
      "\(name).token_type_embeddings.weight",
      [configuration.typeVocabularySize, hidden]
    )
    embeddingNorm = try Bert.norm("\(name).LayerNorm", hidden, &weights)
    var layers: [Layer] = []
    for index in 0..<configuration.layerCount {
      layers.append(try Bert.layer("bert.encoder.layer.\(index)", configuration, &weights))
    }
    self.layers = layers
    pooler =
      configuration.task == .textClassification
      ? try weights.linear("bert.pooler.dense", inputs: hidden, outputs: hidden, hasBias: true)
      : nil
    classifier = try weights.linear(
      "classifier",
      inputs: hidden,
      outputs: configuration.labels.count,
      hasBias: true
    )
  }

  private static func norm(
    _ name: String,
    _ hidden: Int,
    _ weights: inout WeightLoader
  ) throws(ModelError) -> LayerNorm {
    LayerNorm(
      weight: try weights.tensor("\(name).weight", [hidden]),
      bias: try weights.tensor("\(name).bias", [hidden])
    )
  }

  private static func layer(
    _ name: String,
    _ configuration: ModelConfiguration,
    _ weights: inout WeightLoader
  ) throws(ModelError) -> Layer {
    let (hidden, inner) = (configuration.hiddenSize, configuration.intermediateSize)
    func linear(
      _ part: String,
      _ inputs: Int,
      _ outputs: Int,
      _ weights: inout WeightLoader
    ) throws(ModelError) -> Linear {
      try weights.linear("\(name).\(part)", inputs: inputs, outputs: outputs, hasBias: true)
    }
    return Layer(
      q: try linear("attention.self.query", hidden, hidden, &weights),
      k: try linear("attention.self.key", hidden, hidden, &weights),
      v: try linear("attention.self.value", hidden, hidden, &weights),
      o: try linear("attention.output.dense", hidden, hidden, &weights),
      attentionNorm: try norm("\(name).attention.output.LayerNorm", hidden, &weights),
      intermediate: try linear("intermediate.dense", hidden, inner, &weights),
      output: try linear("output.dense", inner, hidden, &weights),
      outputNorm: try norm("\(name).output.LayerNorm", hidden, &weights)
    )
  }

  func logits(_ model: inout ModelGraph) throws(TensorError) -> Value {
    var x = try model.graph.embedding(
      table: try model.graph.constant(wordEmbedding),
      ids: model.tokens
    )
    let position = try model.graph.embedding(
      table: try model.graph.constant(positionEmbedding),
      ids: model.positions
    )
    let segment = try model.graph.sliceRows(try model.graph.constant(segmentEmbedding), 0..<1)
    x = try model.graph.add(try model.graph.add(x, position), segment)
    x = try model.dropout(try norm(&model.graph, x, embeddingNorm))
    for (index, layer) in layers.enumerated() {
      x = try self.layer(&model, layer, x, isLast: index == layers.count - 1)
    }
    if let pooler { x = try model.graph.tanh(try model.graph.linear(x, pooler)) }
    return try model.graph.linear(try model.dropout(x), classifier)
  }

  private func layer(
    _ model: inout ModelGraph,
    _ layer: Layer,
    _ input: Value,
    isLast: Bool
  ) throws(TensorError) -> Value {
    var x = input
    var attended = try model.fullAttention(
      q: try model.graph.linear(x, layer.q),
      keys: try model.graph.linear(x, layer.k),
      values: try model.graph.linear(x, layer.v),
      heads: configuration.headCount
    )
    if isLast {
      attended = try model.wantedRows(attended)
      x = try model.wantedRows(x)
    }
    let projected = try model.dropout(try model.graph.linear(attended, layer.o))
    let middle = try norm(&model.graph, try model.graph.add(projected, x), layer.attentionNorm)
    let inner = try model.graph.gelu(try model.graph.linear(middle, layer.intermediate))
    let output = try model.dropout(try model.graph.linear(inner, layer.output))
    return try norm(&model.graph, try model.graph.add(output, middle), layer.outputNorm)
  }

  private func norm(
    _ graph: inout Graph,
    _ x: Value,
    _ norm: LayerNorm
  ) throws(TensorError) -> Value {
    try graph.layerNorm(
      x,
      weight: try graph.constant(norm.weight),
      bias: try graph.constant(norm.bias),
      epsilon: Float(configuration.normEpsilon)
    )
  }
}
