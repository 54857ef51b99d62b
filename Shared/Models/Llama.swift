internal import Checkpoints
import Glibc
internal import Tensors

/// The Llama family of decoders.
///
/// RMSNorm before each block, rotary positions, grouped-query attention and SwiGLU, after Touvron
/// and others, "LLaMA: Open and Efficient Foundation Language Models", 2023.
struct Llama: Architecture {
  private struct Layer {
    let attentionNorm: Tensor  // [hidden]
    let q: Linear  // [heads * headSize, hidden]
    let k: Linear  // [kvHeads * headSize, hidden]
    let v: Linear  // [kvHeads * headSize, hidden]
    let o: Linear  // [hidden, heads * headSize]
    let feedForwardNorm: Tensor  // [hidden]
    let gate: Linear  // [intermediate, hidden]
    let up: Linear  // [intermediate, hidden]
    let down: Linear  // [hidden, intermediate]
  }

  private let configuration: ModelConfiguration
  private let embedding: Tensor  // [vocabulary, hidden]
  private let frequencies: Tensor  // [headSize / 2]
  private let layers: [Layer]
  private let norm: Tensor  // [hidden]
  private let head: Tensor  // [vocabulary, hidden]

  init(_ configuration: ModelConfiguration, _ weights: inout WeightLoader) throws(ModelError) {
    guard configuration.activation == "silu" else {
      throw ModelError(
        .unsupported,
        "config.json: hidden_act \(configuration.activation), Llama has silu"
      )
    }
    guard configuration.headSize.isMultiple(of: 2) else {
      throw ModelError(
        .unsupported,
        "config.json: head_dim \(configuration.headSize) is odd; rotary pairs need even"
      )
    }
    let (hidden, vocabulary) = (configuration.hiddenSize, configuration.vocabularySize)
    self.configuration = configuration
    embedding = try weights.tensor("model.embed_tokens.weight", [vocabulary, hidden])
    frequencies = try Llama.frequencies(configuration)
    var layers: [Layer] = []
    for index in 0..<configuration.layerCount {
      layers.append(try Llama.layer("model.layers.\(index)", configuration, &weights))
    }
    self.layers = layers
    norm = try weights.tensor("model.norm.weight", [hidden])
    head =
      configuration.tieWordEmbeddings
      ? embedding : try weights.tensor("lm_head.weight", [vocabulary, hidden])
  }

  private static func layer(
    _ name: String,
    _ configuration: ModelConfiguration,
    _ weights: inout WeightLoader
  ) throws(ModelError) -> Layer {
    let (hidden, inner) = (configuration.hiddenSize, configuration.intermediateSize)
    let queries = configuration.headCount * configuration.headSize
    let keys = configuration.keyValueHeadCount * configuration.headSize
    let (attention, feedForward) = ("\(name).self_attn", "\(name).mlp")
    let (biased, mlpBiased) = (configuration.attentionBias, configuration.mlpBias)
    return Layer(
      attentionNorm: try weights.tensor("\(name).input_layernorm.weight", [hidden]),
      q: try weights.linear(
        "\(attention).q_proj",
        inputs: hidden,
        outputs: queries,
        hasBias: biased
      ),
      k: try weights.linear("\(attention).k_proj", inputs: hidden, outputs: keys, hasBias: biased),
      v: try weights.linear("\(attention).v_proj", inputs: hidden, outputs: keys, hasBias: biased),
      o: try weights.linear(
        "\(attention).o_proj",
        inputs: queries,
        outputs: hidden,
        hasBias: biased
      ),
      feedForwardNorm: try weights.tensor("\(name).post_attention_layernorm.weight", [hidden]),
      gate: try weights.linear(
        "\(feedForward).gate_proj",
        inputs: hidden,
        outputs: inner,
        hasBias: mlpBiased
      ),
      up: try weights.linear(
        "\(feedForward).up_proj",
        inputs: hidden,
        outputs: inner,
        hasBias: mlpBiased
      ),
      down: try weights.linear(
        "\(feedForward).down_proj",
        inputs: inner,
        outputs: hidden,
        hasBias: mlpBiased
      )
    )
  }

  /// theta^(-2i/headSize) for each pair of elements: the angle of one position.
  private static func frequencies(
    _ configuration: ModelConfiguration
  ) throws(ModelError) -> Tensor {
    let theta = configuration.ropeTheta ?? 10_000
    let values = (0..<configuration.headSize / 2).map { pair in
      Float(pow(theta, -Double(2 * pair) / Double(configuration.headSize)))
    }
    do throws(TensorError) {
      return try Tensor(
        name: "rotary frequencies",
        shape: try Shape([values.count]),
        values: values
      )
    } catch {
      throw ModelError(error, "rotary frequencies")
    }
  }

  func logits(_ model: inout ModelGraph) throws(TensorError) -> Value {
    let rotary = try model.graph.rotaryTable(
      positions: model.positions,
      frequencies: try model.graph.constant(frequencies)
    )
    var x = try model.graph.embedding(
      table: try model.graph.constant(embedding),
      ids: model.tokens
    )
    for (index, layer) in layers.enumerated() {
      var attended = try attention(&model, layer, index: index, x: x, rotary: rotary)
      if index == layers.count - 1 {
        attended = try model.wantedRows(ofDecoder: attended)
        x = try model.wantedRows(ofDecoder: x)
      }
      x = try model.graph.add(x, try model.graph.linear(attended, layer.o))
      x = try model.graph.add(x, try feedForward(&model.graph, layer, x: x))
    }
    x = try model.graph.rmsNorm(x, weight: try model.graph.constant(norm), epsilon: epsilon)
    return try model.graph.linear(x, weight: try model.graph.constant(head))
  }

  private var epsilon: Float { Float(configuration.normEpsilon) }

  /// The heads' outputs `[rows, heads*headSize]`, before the output projection.
  private func attention(
    _ model: inout ModelGraph,
    _ layer: Layer,
    index: Int,
    x: Value,
    rotary: Value
  ) throws(TensorError) -> Value {
    let normed = try model.graph.rmsNorm(
      x,
      weight: try model.graph.constant(layer.attentionNorm),
      epsilon: epsilon
    )
    let q = try model.graph.rope(try model.graph.linear(normed, layer.q), table: rotary)
    let k = try model.graph.rope(try model.graph.linear(normed, layer.k), table: rotary)
    let v = try model.graph.linear(normed, layer.v)
    return try model.causalAttention(
      q: q,
      keys: k,
      values: v,
      CachedAttention(
        layer: index,
        heads: configuration.headCount,
        kvHeads: configuration.keyValueHeadCount,
        contextTokens: configuration.contextTokens
      )
    )
  }

  private func feedForward(
    _ graph: inout Graph,
    _ layer: Layer,
    x: Value
  ) throws(TensorError) -> Value {
    let normed = try graph.rmsNorm(
      x,
      weight: try graph.constant(layer.feedForwardNorm),
      epsilon: epsilon
    )
    let gated = try graph.siluMultiply(
      gate: try graph.linear(normed, layer.gate),
      up: try graph.linear(normed, layer.up)
    )
    return try graph.linear(gated, layer.down)
  }
}
