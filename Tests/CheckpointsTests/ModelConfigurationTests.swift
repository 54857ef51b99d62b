import Testing

@testable import Checkpoints

@Suite("Model configurations")
struct ModelConfigurationTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let llama: [String: String] = [
    "architectures": #"["LlamaForCausalLM"]"#, "model_type": #""llama""#, "vocab_size": "100",
    "hidden_size": "64", "num_hidden_layers": "2", "num_attention_heads": "8",
    "intermediate_size": "96", "max_position_embeddings": "128", "rms_norm_eps": "1e-6",
    "hidden_act": #""silu""#,
  ]

  /// The configuration of a small Llama with members changed (nil removes one).
  private func configuration(
    _ changes: [String: String?],
    generation: String? = nil
  ) throws -> ModelConfiguration {
    var members = Self.llama
    for (key, value) in changes { members[key] = value }
    let body = members.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ",")
    try folder.write("config.json", "{\(body)}")
    if let generation { try folder.write("generation_config.json", generation) }
    return try ModelConfiguration(folder: folder.path)
  }

  @Test("the demo chat model is described")
  func chatModel() throws {
    let model = try ModelConfiguration(folder: demoModel("support-chat"))
    #expect(model.architecture == "LlamaForCausalLM" && model.modelType == "llama")
    #expect(model.task == .textGeneration && model.task.rawValue == "text-generation")
    #expect(model.vocabularySize == 4096 && model.hiddenSize == 256 && model.layerCount == 6)
    #expect(model.headCount == 8 && model.keyValueHeadCount == 4 && model.headSize == 32)
    #expect(model.intermediateSize == 704 && model.contextTokens == 1024)
    #expect(model.normEpsilon == 1e-6 && model.ropeTheta == 10000 && model.tieWordEmbeddings)
    #expect(model.endOfSequenceIDs == [2] && model.labels.isEmpty && model.activation == "silu")
  }

  @Test("the demo entity model is described")
  func entityModel() throws {
    let model = try ModelConfiguration(folder: demoModel("ner-wikiann"))
    #expect(model.task == .tokenClassification && model.typeVocabularySize == 2)
    #expect(model.labels == ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"])
    #expect(model.normEpsilon == 1e-12 && model.ropeTheta == nil && model.activation == "gelu")
    #expect(model.headSize == 32 && model.keyValueHeadCount == 12)
    #expect(model.endOfSequenceIDs.isEmpty)
  }

  @Test("encoders without a head of their own are described; others are refused with what is known")
  func encoders() throws {
    let bare = try configuration(["architectures": #"["BertModel"]"#])
    #expect(bare.task == .featureExtraction && bare.task.rawValue == "feature-extraction")
    #expect(bare.labels.isEmpty)
    let masked = try configuration(["architectures": #"["BertForMaskedLM"]"#])
    #expect(masked.task == .fillMask && masked.task.rawValue == "fill-mask")
    let error = #expect(throws: CheckpointError.self) {
      try configuration(["architectures": #"["ViTForImageClassification"]"#])
    }
    #expect(error?.code == .unsupported)
    #expect(error?.message.contains("*ForMaskedLM, *Model are supported") == true)
  }

  @Test("a text classifier has labels and the type of its problem")
  func textClassifier() throws {
    let name = #"["BertForSequenceClassification"]"#
    let model = try configuration([
      "architectures": name, "id2label": #"{"0":"no","1":"yes"}"#,
      "problem_type": #""multi_label_classification""#,
    ])
    #expect(model.task == .textClassification && model.task.rawValue == "text-classification")
    #expect(model.labels == ["no", "yes"] && model.problemType == .multiLabel)
    let plain = try configuration(["architectures": name])
    #expect(plain.labels == ["LABEL_0", "LABEL_1"] && plain.problemType == nil)
    let error = #expect(throws: CheckpointError.self) {
      try configuration(["architectures": name, "problem_type": #""ranking""#])
    }
    #expect(error?.code == .malformed)
    // Other tasks do not read it.
    #expect(try configuration(["problem_type": #""ranking""#]).problemType == nil)
  }

  @Test("the rotary base is read in the old and the new form")
  func rope() throws {
    #expect(try configuration(["rope_theta": "5e5"]).ropeTheta == 500_000)
    #expect(try configuration(["rope_theta": "7", "rope_scaling": "null"]).ropeTheta == 7)
    #expect(
      try configuration(["rope_parameters": #"{"rope_theta":9,"rope_type":"default"}"#]).ropeTheta
        == 9
    )
    for scaling in [
      #"{"rope_type":"yarn"}"#, #"{"type":"linear"}"#, #"{"partial_rotary_factor":0.5}"#,
    ] {
      let error = #expect(throws: CheckpointError.self) {
        try configuration(["rope_scaling": scaling])
      }
      #expect(error?.code == .unsupported)
    }
  }

  @Test("end ids come from generation_config.json as an id or a list, else from config.json")
  func endIDs() throws {
    #expect(try configuration(["eos_token_id": "[3,4]"]).endOfSequenceIDs == [3, 4])
    #expect(
      try configuration(["eos_token_id": "3"], generation: #"{"eos_token_id":[5,6]}"#)
        .endOfSequenceIDs == [5, 6]
    )
    #expect(throws: CheckpointError.self) {
      try configuration([:], generation: #"{"eos_token_id":100}"#)
    }
  }

  @Test(
    "values that contradict each other or their bounds are refused with the key",
    arguments: [
      ("vocab_size", nil), ("vocab_size", "0"), ("vocab_size", "\"4\""), ("hidden_size", "-1"),
      ("hidden_size", "99999999999"), ("hidden_size", "63"), ("num_hidden_layers", "2000"),
      ("num_key_value_heads", "3"), ("head_dim", "0"), ("hidden_act", nil), ("rms_norm_eps", nil),
      ("rms_norm_eps", "-1"), ("architectures", "[]"),
      ("architectures", #"["BertForPreTraining"]"#),
      ("rope_theta", "0"), ("eos_token_id", "-1"), ("quantization_config", "{}"),
      ("tie_word_embeddings", "1"),
    ] as [(String, String?)]
  )
  func refuses(key: String, value: String?) {
    let error = #expect(throws: CheckpointError.self) { try configuration([key: value]) }
    #expect(error?.message.hasPrefix("config.json: \"\(key)\"") == true, "\(error?.message ?? "")")
  }

  @Test("lists and strings are bounded")
  func bounds() throws {
    let ids = (0..<64).map(String.init).joined(separator: ",")
    #expect(try configuration(["eos_token_id": "[\(ids)]"]).endOfSequenceIDs.count == 64)
    let many = #expect(throws: CheckpointError.self) {
      try configuration(["eos_token_id": "[\(ids),64]"])
    }
    #expect(many?.message.contains("65 ids") == true)
    let marks = "a" + String(repeating: "\u{301}\u{323}", count: 100_000)
    for key in ["model_type", "hidden_act"] {
      let error = #expect(throws: CheckpointError.self) {
        try configuration([key: "\"\(marks)\""])
      }
      #expect(error?.message.contains("bytes; at most") == true)
    }
    let architecture = #expect(throws: CheckpointError.self) {
      try configuration(["architectures": "[\"\(marks)ForCausalLM\"]"])
    }
    #expect(architecture?.code == .unsupported)
    #expect(architecture.map { $0.message.utf8.count < 1_000 } == true)
  }

  @Test("a classifier that is a decoder, or has relative positions, is refused")
  func attention() throws {
    let token = ["architectures": #"["BertForTokenClassification"]"#]
    func merged(_ key: String, _ value: String) throws -> ModelConfiguration {
      try configuration(token.merging([key: value]) { $1 })
    }
    #expect(try merged("is_decoder", "false").task == .tokenClassification)
    #expect(
      try merged("position_embedding_type", #""absolute""#).task == .tokenClassification
    )
    for (key, value) in [
      ("is_decoder", "true"), ("position_embedding_type", #""relative_key""#),
    ] {
      let error = #expect(throws: CheckpointError.self) { try merged(key, value) }
      #expect(error?.code == .unsupported && error?.message.contains(key) == true)
    }
  }

  @Test("labels must be numbered from 0 without a gap")
  func labels() throws {
    let token = ["architectures": #"["LlamaForTokenClassification"]"#]
    let ordered = try configuration(
      token.merging(["id2label": #"{"1":"B","0":"A"}"#]) { $1 }
    )
    #expect(ordered.labels == ["A", "B"])
    #expect(try configuration(token).labels == ["LABEL_0", "LABEL_1"])
    #expect(throws: CheckpointError.self) {
      try configuration(token.merging(["id2label": #"{"0":"A","2":"B"}"#]) { $1 })
    }
  }
}
