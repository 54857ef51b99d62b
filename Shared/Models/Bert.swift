internal import Checkpoints
internal import Tensors

/// The BERT encoder with a classifier for each token.
///
/// LayerNorm after each block, exact GELU and absolute positions, after Devlin and others, "BERT:
/// Pre-training of Deep Bidirectional Transformers for Language Understanding", 2018. All tokens
/// belong to the first segment.
struct Bert: Architecture {
  private struct Norm {
    let weight: Tensor  // [hidden]
    let bias: Tensor  // [hidden]
  }

  private struct Layer {
    let q: Linear  // [hidden, hidden], as k, v and o
    let k: Linear
    let v: Linear
    let o: Linear
    let attentionNorm: Norm
    let intermediate: Linear  // [intermediate, hidden]
    let output: Linear  // [hidden, intermediate]
    let outputNorm: Norm
  }

  private let configuration: ModelConfiguration
  private let wordEmbedding: Tensor  // [vocabulary, hidden]
  private let positionEmbedding: Tensor  // [context, hidden]
  private let segmentEmbedding: Tensor  // [segments, hidden]
  private let embeddingNorm: Norm
  private let layers: [Layer]
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
  ) throws(ModelError) -> Norm {
    Norm(
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

  func graph(rows: Int) throws(TensorError) -> Graph {
    var graph = Graph()
    let tokens = try graph.input(dtype: .uint32, shape: try Shape([rows]), isLive: true)
    let positions = try graph.input(dtype: .uint32, shape: try Shape([rows]), isLive: true)
    var x = try graph.embedding(table: try graph.constant(wordEmbedding), ids: tokens)
    let position = try graph.embedding(
      table: try graph.constant(positionEmbedding),
      ids: positions
    )
    let segment = try graph.sliceRows(try graph.constant(segmentEmbedding), 0..<1)
    x = try graph.add(try graph.add(x, position), segment)
    x = try norm(&graph, x, embeddingNorm)
    for layer in layers {
      let attended = try graph.attention(
        q: try graph.linear(x, layer.q),
        keys: try graph.linear(x, layer.k),
        values: try graph.linear(x, layer.v),
        heads: configuration.headCount
      )
      let projected = try graph.linear(attended, layer.o)
      x = try norm(&graph, try graph.add(projected, x), layer.attentionNorm)
      let inner = try graph.gelu(try graph.linear(x, layer.intermediate))
      let output = try graph.linear(inner, layer.output)
      x = try norm(&graph, try graph.add(output, x), layer.outputNorm)
    }
    graph.output(try graph.linear(x, classifier))
    return graph
  }

  private func norm(_ graph: inout Graph, _ x: Value, _ norm: Norm) throws(TensorError) -> Value {
    try graph.layerNorm(
      x,
      weight: try graph.constant(norm.weight),
      bias: try graph.constant(norm.bias),
      epsilon: Float(configuration.normEpsilon)
    )
  }
}
