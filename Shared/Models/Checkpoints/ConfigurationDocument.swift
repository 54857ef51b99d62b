import Files
import JSON

/// A `config.json` that can be changed and written: members that llmos does not know are kept.
package struct ConfigurationDocument: Sendable {
  private var members: [(key: String, value: JSONValue)]
  private let file: String
  /// The class that `architectures` names, for example `BertModel`; empty without one.
  package private(set) var architecture: String

  private init(file: String, members: [(key: String, value: JSONValue)]) {
    self.file = file
    self.members = members
    architecture = ""
    if case .array(let names) = members.first(where: { $0.key == "architectures" })?.value,
      case .string(let name) = names.first,
      name.utf8.count <= ConfigurationReader.stringBytesMax
    {
      architecture = name
    }
  }

  /// Reads `config.json` in `folder`.
  package init(folder: String) throws(CheckpointError) {
    let reader = try ConfigurationReader(
      path: "\(folder)/config.json",
      bytesMax: ModelConfiguration.bytesMax
    )
    self.init(file: reader.file, members: reader.object.members)
  }

  /// The sizes of a model that is trained from scratch.
  package struct Sizes: Sendable {
    /// `vocab_size`.
    package var vocabulary: Int
    /// `hidden_size`.
    package var hidden: Int
    /// `num_hidden_layers`.
    package var layers: Int
    /// `num_attention_heads`.
    package var heads: Int
    /// `num_key_value_heads`; used by decoders.
    package var kvHeads: Int
    /// `intermediate_size`.
    package var intermediate: Int
    /// `max_position_embeddings`.
    package var contextTokens: Int

    /// Makes the sizes; `configuration` checks them.
    package init(
      vocabulary: Int,
      hidden: Int,
      layers: Int,
      heads: Int,
      kvHeads: Int,
      intermediate: Int,
      contextTokens: Int
    ) {
      self.vocabulary = vocabulary
      self.hidden = hidden
      self.layers = layers
      self.heads = heads
      self.kvHeads = kvHeads
      self.intermediate = intermediate
      self.contextTokens = contextTokens
    }

    fileprivate var members: [(key: String, value: JSONValue)] {
      [
        ("vocab_size", .integer(vocabulary)), ("hidden_size", .integer(hidden)),
        ("num_hidden_layers", .integer(layers)), ("num_attention_heads", .integer(heads)),
        ("intermediate_size", .integer(intermediate)),
        ("max_position_embeddings", .integer(contextTokens)),
        ("initializer_range", .number(0.02)),
      ]
    }
  }

  /// A Llama decoder from scratch, with tied embeddings and rotary base 10 000.
  package static func llama(
    _ sizes: Sizes,
    endOfSequenceID: Int,
    padID: Int
  ) -> ConfigurationDocument {
    var rope = JSONObject()
    _ = rope.append("rope_theta", .number(10_000))
    _ = rope.append("rope_type", .string("default"))
    let members: [(key: String, value: JSONValue)] = [
      ("architectures", .array([.string("LlamaForCausalLM")])), ("model_type", .string("llama")),
      ("attention_bias", .boolean(false)), ("mlp_bias", .boolean(false)),
      ("bos_token_id", .null), ("eos_token_id", .integer(endOfSequenceID)),
      ("pad_token_id", .integer(padID)), ("hidden_act", .string("silu")),
      ("head_dim", .integer(sizes.heads > 0 ? sizes.hidden / sizes.heads : 0)),
      ("num_key_value_heads", .integer(sizes.kvHeads)), ("rms_norm_eps", .number(1e-6)),
      ("rope_parameters", .object(rope)), ("tie_word_embeddings", .boolean(true)),
    ]
    return ConfigurationDocument(file: "config.json", members: members + sizes.members)
  }

  /// A BERT encoder from scratch; `setHead` makes it a classifier.
  package static func bert(_ sizes: Sizes, padID: Int) -> ConfigurationDocument {
    let members: [(key: String, value: JSONValue)] = [
      ("architectures", .array([.string("BertModel")])), ("model_type", .string("bert")),
      ("pad_token_id", .integer(padID)), ("hidden_act", .string("gelu")),
      ("layer_norm_eps", .number(1e-12)), ("type_vocab_size", .integer(2)),
      ("hidden_dropout_prob", .number(0.1)), ("attention_probs_dropout_prob", .number(0.1)),
      ("position_embedding_type", .string("absolute")),
    ]
    return ConfigurationDocument(file: "config.json", members: members + sizes.members)
  }

  /// Sets the type of the weights' elements, bf16, f16 or f32: `dtype`.
  package mutating func setElementType(_ type: StoredElementType) {
    let names: [StoredElementType: String] = [
      .bfloat16: "bfloat16", .float16: "float16", .float32: "float32",
    ]
    set("dtype", names[type].map { .string($0) } ?? .null)
    set("torch_dtype", .null)
  }

  /// Sets a member; null removes it.
  private mutating func set(_ key: String, _ value: JSONValue) {
    members.removeAll { $0.key == key }
    if !value.isNull { members.append((key, value)) }
  }

  /// Makes the model a classifier: `architectures`, `id2label` and `label2id`.
  ///
  /// The family is that of the present architecture: `BertModel` and `BertForMaskedLM` with
  /// `ForTokenClassification` become `BertForTokenClassification`.
  package mutating func setHead(suffix: String, labels: [String]) {
    var family = architecture[...]
    if let range = family.firstRange(of: "For") { family = family[..<range.lowerBound] }
    if family.hasSuffix("Model") { family = family.dropLast("Model".count) }
    architecture = family + suffix
    set("architectures", .array([.string(architecture)]))
    var names = JSONObject()
    var ids = JSONObject()
    for (id, label) in labels.enumerated() {
      _ = names.append(String(id), .string(label))
      _ = ids.append(label, .integer(id))
    }
    set("id2label", .object(names))
    set("label2id", .object(ids))
    set("num_labels", .null)
    set("problem_type", .null)
  }

  /// The model that it describes.
  ///
  /// Throws what reading the file would.
  package func configuration() throws(CheckpointError) -> ModelConfiguration {
    try ModelConfiguration(ConfigurationReader(file: file, object: object), generation: nil)
  }

  /// The members in the order of their keys, as transformers writes them.
  private var object: JSONObject {
    var object = JSONObject()
    for member in members.sorted(by: { $0.key < $1.key }) {
      _ = object.append(member.key, member.value)
    }
    return object
  }

  /// Writes `config.json` into `folder`, whole or not at all.
  package func write(folder: String) throws(CheckpointError) {
    let text = JSONValue.object(object).serialized(isIndented: true) + "\n"
    try AtomicFile<CheckpointError>.write(text.utf8, to: "\(folder)/config.json")
  }
}
