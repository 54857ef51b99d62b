import JSON

/// What a model is for.
package enum ModelTask: String, Sendable, Hashable, CaseIterable {
  case textGeneration = "text-generation"
  case tokenClassification = "token-classification"
  case textClassification = "text-classification"
  /// A bare encoder (`BertModel`): what training starts from, with a new head.
  case featureExtraction = "feature-extraction"
  /// An encoder with the head of its pre-training (`BertForMaskedLM`), which training replaces.
  case fillMask = "fill-mask"

  /// Whether the model assigns labels of its own.
  var hasLabels: Bool { self == .tokenClassification || self == .textClassification }
}

/// What the labels of a text classifier mean to each other: `problem_type`.
package enum ProblemType: String, Sendable, Hashable, CaseIterable {
  case regression
  case singleLabel = "single_label_classification"
  case multiLabel = "multi_label_classification"
}

/// The description of a model in Hugging Face's `config.json` (and `generation_config.json`), checked:
/// every size is positive and bounded, heads divide as attention needs, ids lie in the vocabulary.
package struct ModelConfiguration: Sendable, Equatable {
  /// The bound on every size in the file; products of two stay far from overflow.
  package static let sizeMax = 1 << 24
  /// The most bytes of `config.json` and `generation_config.json`.
  static let bytesMax = 16 << 20

  /// The class that `architectures` names, for example `LlamaForCausalLM`.
  package let architecture: String
  /// `model_type`, for example `llama`.
  package let modelType: String
  /// The task, from the architecture's suffix.
  package let task: ModelTask
  /// `vocab_size`.
  package let vocabularySize: Int
  /// `hidden_size`.
  package let hiddenSize: Int
  /// `num_hidden_layers`.
  package let layerCount: Int
  /// `num_attention_heads`.
  package let headCount: Int
  /// `num_key_value_heads`; the number of heads when absent.
  package let keyValueHeadCount: Int
  /// `head_dim`; hidden size / heads when absent.
  package let headSize: Int
  /// `intermediate_size`.
  package let intermediateSize: Int
  /// `max_position_embeddings`: the longest sequence, prompt and answer together.
  package let contextTokens: Int
  /// `rms_norm_eps` or `layer_norm_eps`.
  package let normEpsilon: Double
  /// The base of rotary position embedding; nil when the model has none.
  package let ropeTheta: Double?
  /// `tie_word_embeddings`; false when absent.
  package let tieWordEmbeddings: Bool
  /// `attention_bias`; false when absent.
  package let attentionBias: Bool
  /// `mlp_bias`; false when absent.
  package let mlpBias: Bool
  /// The labels of a classifier in the order of their ids; else empty.
  package let labels: [String]
  /// `problem_type` of a text classifier; nil when absent.
  package let problemType: ProblemType?
  /// `type_vocab_size`; 0 when the model has no segment embedding.
  package let typeVocabularySize: Int
  /// `hidden_act`, for example `silu` or `gelu`.
  package let activation: String
  /// The ids that end a text: `eos_token_id` of `generation_config.json`, else of `config.json`.
  package let endOfSequenceIDs: [UInt32]

  /// Reads `config.json` and, where present, `generation_config.json` in `folder`.
  package init(folder: String) throws(CheckpointError) {
    let reader = try ConfigurationReader(path: "\(folder)/config.json", bytesMax: Self.bytesMax)
    var generation: ConfigurationReader?
    do throws(CheckpointError) {
      generation = try ConfigurationReader(
        path: "\(folder)/generation_config.json",
        bytesMax: Self.bytesMax
      )
    } catch  where error.code == .notFound {
      generation = nil
    }
    try self.init(reader, generation: generation)
  }

  init(
    _ reader: ConfigurationReader,
    generation: ConfigurationReader?
  ) throws(CheckpointError) {
    (architecture, task) = try Self.architecture(reader)
    modelType = try reader.string("model_type") ?? ""
    guard reader.value("quantization_config") == nil else {
      throw reader.unsupported(
        "quantization_config",
        "is present: quantized weights are unsupported"
      )
    }
    try Self.refuseOtherAttention(reader, task)
    vocabularySize = try Self.size("vocab_size", reader)
    hiddenSize = try Self.size("hidden_size", reader)
    layerCount = try Self.size("num_hidden_layers", reader, max: 1024)
    headCount = try Self.size("num_attention_heads", reader, max: 1024)
    intermediateSize = try Self.size("intermediate_size", reader)
    contextTokens = try Self.size("max_position_embeddings", reader)
    keyValueHeadCount = try reader.integer("num_key_value_heads", in: 1...1024) ?? headCount
    guard headCount % keyValueHeadCount == 0 else {
      throw reader.failure(
        "num_key_value_heads",
        "is \(keyValueHeadCount), which does not divide \(headCount) heads"
      )
    }
    if let size = try reader.integer("head_dim", in: 1...Self.sizeMax) {
      headSize = size
    } else {
      guard hiddenSize % headCount == 0 else {
        throw reader.failure(
          "hidden_size",
          "is \(hiddenSize), which \(headCount) attention heads do not divide"
        )
      }
      headSize = hiddenSize / headCount
    }
    let layerNormEpsilon = try reader.real("layer_norm_eps", in: 0...1)
    guard let epsilon = try reader.real("rms_norm_eps", in: 0...1) ?? layerNormEpsilon else {
      throw reader.failure("rms_norm_eps", "and layer_norm_eps are absent")
    }
    normEpsilon = epsilon
    ropeTheta = try Self.ropeTheta(reader)
    tieWordEmbeddings = try reader.boolean("tie_word_embeddings") ?? false
    attentionBias = try reader.boolean("attention_bias") ?? false
    mlpBias = try reader.boolean("mlp_bias") ?? false
    labels = task.hasLabels ? try Self.labels(reader) : []
    problemType = task == .textClassification ? try Self.problemType(reader) : nil
    typeVocabularySize = try reader.integer("type_vocab_size", in: 0...Self.sizeMax) ?? 0
    guard let activation = try reader.string("hidden_act") else {
      throw reader.failure("hidden_act", "is absent")
    }
    self.activation = activation
    let ends = try generation?.tokenIDs("eos_token_id", vocabulary: vocabularySize) ?? []
    endOfSequenceIDs =
      ends.isEmpty ? try reader.tokenIDs("eos_token_id", vocabulary: vocabularySize) : ends
  }

  /// Refuses settings that change what tokens attend to, or how they know their place.
  private static func refuseOtherAttention(
    _ reader: ConfigurationReader,
    _ task: ModelTask
  ) throws(CheckpointError) {
    let isDecoder = try reader.boolean("is_decoder") ?? false
    guard task == .textGeneration || !isDecoder else {
      throw reader.unsupported("is_decoder", "is true: encoders see the whole text")
    }
    let positions = try reader.string("position_embedding_type") ?? "absolute"
    guard positions == "absolute" else {
      throw reader.unsupported(
        "position_embedding_type",
        "is \"\(positions.excerpt(40))\"; \"absolute\" is supported"
      )
    }
  }

  private static func size(
    _ key: String,
    _ reader: ConfigurationReader,
    max: Int = sizeMax
  ) throws(CheckpointError) -> Int {
    guard let size = try reader.integer(key, in: 1...max) else {
      throw reader.failure(key, "is absent")
    }
    return size
  }

  private static let taskSuffixes: [(String, ModelTask)] = [
    ("ForCausalLM", .textGeneration), ("ForTokenClassification", .tokenClassification),
    ("ForSequenceClassification", .textClassification), ("ForMaskedLM", .fillMask),
    ("Model", .featureExtraction),
  ]

  private static func architecture(
    _ reader: ConfigurationReader
  ) throws(CheckpointError) -> (String, ModelTask) {
    guard case .array(let list) = reader.value("architectures"), case .string(let name) = list.first
    else { throw reader.failure("architectures", "names no architecture") }
    let isShort = name.utf8.count <= ConfigurationReader.stringBytesMax
    for (suffix, task) in taskSuffixes where isShort && name.hasSuffix(suffix) {
      return (name, task)
    }
    throw reader.unsupported(
      "architectures",
      "is \"\(name.excerpt())\"; "
        + taskSuffixes.map { "*\($0.0)" }.joined(separator: ", ") + " are supported"
    )
  }

  /// The rotary base: `rope_parameters` (transformers 5) or `rope_theta` beside `rope_scaling` (before).
  private static func ropeTheta(
    _ reader: ConfigurationReader
  ) throws(CheckpointError) -> Double? {
    let thetaRange = 1.0...1e12
    for key in ["rope_parameters", "rope_scaling"] {
      guard let rope = try reader.reader(key) else { continue }
      let oldType = try rope.string("type")
      let type = try rope.string("rope_type") ?? oldType ?? "default"
      guard type == "default" else {
        throw reader.unsupported(
          key,
          "has the type \"\(type.excerpt(40))\"; \"default\" is supported"
        )
      }
      let factor = try rope.real("partial_rotary_factor", in: 0...1) ?? 1
      guard factor == 1 else {
        throw reader.unsupported(key, "has partial_rotary_factor \(factor); 1 is supported")
      }
      if let theta = try rope.real("rope_theta", in: thetaRange) { return theta }
    }
    return try reader.real("rope_theta", in: thetaRange)
  }

  private static func problemType(
    _ reader: ConfigurationReader
  ) throws(CheckpointError) -> ProblemType? {
    guard let name = try reader.string("problem_type") else { return nil }
    guard let type = ProblemType(rawValue: name) else {
      let known = ProblemType.allCases.map(\.rawValue).joined(separator: ", ")
      throw reader.failure("problem_type", "is \"\(name.excerpt(40))\", not one of \(known)")
    }
    return type
  }

  /// The values of `id2label` in the order of the ids, which must be 0, 1, 2, ….
  private static func labels(_ reader: ConfigurationReader) throws(CheckpointError) -> [String] {
    // transformers does not write the default, two labels of these names.
    guard let map = try reader.reader("id2label") else { return ["LABEL_0", "LABEL_1"] }
    var labels: [String] = []
    for id in 0..<map.object.count {
      guard let label = try map.string(String(id)) else {
        throw reader.failure(
          "id2label",
          "has \(map.object.count) labels, but none with the id \(id)"
        )
      }
      labels.append(label)
    }
    guard !labels.isEmpty else { throw reader.failure("id2label", "is empty") }
    return labels
  }
}
