import Foundation
import Tensors
import Testing

@testable import Models

@Suite("Models that do not fit are refused")
struct LoadingTests {
  private let threads = ThreadPool(threadCount: 1)

  private func chatError(
    _ changes: [String: Any] = [:],
    weightBytes: Int? = nil,
    limits: ModelLimits = ModelLimits()
  ) throws -> ModelError? {
    let variant = try ModelVariant(
      of: Fixtures.supportChat,
      changes: changes,
      weightBytes: weightBytes
    )
    return #expect(throws: ModelError.self) {
      try CausalLanguageModel(folder: variant.folder, threads: threads, limits: limits)
    }
  }

  private func nerError(_ changes: [String: Any]) throws -> ModelError? {
    let variant = try ModelVariant(of: Fixtures.nerWikiann, changes: changes)
    return #expect(throws: ModelError.self) {
      try TokenClassificationModel(folder: variant.folder, threads: threads)
    }
  }

  @Test("A tensor of another shape is named with both shapes")
  func shapes() throws {
    let error = try chatError(["vocab_size": 4_095])
    #expect(error?.code == .invalidModel)
    #expect(
      error?.message
        == "tensor model.embed_tokens.weight has shape [4096, 256], the configuration implies "
        + "[4095, 256]"
    )
    let inner = try chatError(["intermediate_size": 512])
    #expect(inner?.message.contains("model.layers.0.mlp.gate_proj.weight") == true)
    let heads = try chatError(["num_key_value_heads": 2])
    #expect(heads?.message.contains("self_attn.k_proj.weight has shape [128, 256]") == true)
    let labels = try nerError(["id2label": ["0": "O", "1": "X"]])
    #expect(labels?.message.contains("classifier.weight has shape [7, 384]") == true)
    let context = try nerError(["max_position_embeddings": 1_024])
    #expect(context?.message.contains("position_embeddings.weight has shape [512, 384]") == true)
  }

  @Test("A tensor that is missing is named")
  func missing() throws {
    let layer = try chatError(["num_hidden_layers": 7])
    #expect(layer?.code == .invalidModel)
    #expect(layer?.message.contains("model.layers.6.input_layernorm.weight") == true)
    let head = try chatError(["tie_word_embeddings": false])
    #expect(head?.message.contains("lm_head.weight") == true)
    let bias = try chatError(["attention_bias": true])
    #expect(bias?.message.contains("model.layers.0.self_attn.q_proj.bias") == true)
  }

  @Test(
    "Truncated weights are refused, and the file is named",
    arguments: [0, 7, 8, 100, 4_000, 5_000_000, 10_957_207]
  )
  func truncated(weightBytes: Int) throws {
    let error = try chatError(weightBytes: weightBytes)
    #expect(error?.code == .invalidModel)
    #expect(error?.message.contains("model.safetensors") == true)
  }

  @Test("Hostile sizes are refused")
  func hostileSizes() throws {
    for (key, value) in [
      ("hidden_size", Int.max), ("num_attention_heads", 0), ("num_hidden_layers", -1),
      ("vocab_size", 1 << 62), ("max_position_embeddings", 0), ("head_dim", 1 << 40),
      ("num_key_value_heads", 3), ("intermediate_size", 1 << 24), ("head_dim", 31),
    ] {
      #expect(try chatError([key: value])?.message.isEmpty == false, "\(key) \(value)")
    }
  }

  @Test("What is not implemented is named")
  func unsupported() throws {
    let architecture = try chatError(["architectures": ["MambaForCausalLM"]])
    #expect(architecture?.code == .unsupported)
    #expect(
      architecture?.message
        == "architecture MambaForCausalLM is not one of BertForSequenceClassification, "
        + "BertForTokenClassification, LlamaForCausalLM"
    )
    let activation = try chatError(["hidden_act": "relu"])
    #expect(activation?.code == .unsupported)
    #expect(activation?.message.contains("hidden_act relu") == true)
    let rope = try chatError(["rope_parameters": ["rope_type": "yarn", "rope_theta": 1e4]])
    #expect(rope?.code == .unsupported)
    #expect(try nerError(["hidden_act": "gelu_new"])?.code == .unsupported)
  }

  @Test("A model for another task is refused")
  func task() throws {
    let error = #expect(throws: ModelError.self) {
      try CausalLanguageModel(folder: Fixtures.nerWikiann, threads: threads)
    }
    #expect(error?.code == .unsupported)
    #expect(
      error?.message
        == "BertForTokenClassification is for token-classification, not text-generation"
    )
  }

  @Test("Memory limits hold before the memory is taken")
  func memoryLimits() throws {
    var limits = ModelLimits()
    limits.weightBytesMax = 10_000_000
    let weights = try chatError(limits: limits)
    #expect(weights?.code == .memoryLimit)
    limits = ModelLimits()
    limits.arenaBytesMax = 1_000_000
    let arena = try chatError(limits: limits)
    #expect(arena?.code == .memoryLimit)
    #expect(arena?.message.contains("the limit is 1000000") == true)
  }

  @Test("A rotary base at the top level of the configuration is read")
  func topLevelRopeTheta() throws {
    let variant = try ModelVariant(
      of: Fixtures.supportChat,
      changes: ["rope_parameters": NSNull(), "rope_theta": 10_000.0]
    )
    let other = try ModelVariant(
      of: Fixtures.supportChat,
      changes: ["rope_parameters": NSNull(), "rope_theta": 500_000.0]
    )
    let logits = try [Fixtures.supportChat, variant.folder, other.folder].map { folder in
      let model = try CausalLanguageModel(folder: folder, threads: threads)
      let sequence = try model.makeSequence(capacityTokens: 8)
      var logits: [Float] = []
      try model.forward([1, 865, 276, 201], in: sequence, logits: &logits)
      return logits
    }
    #expect(logits[0] == logits[1])
    #expect(logits[0] != logits[2])
  }

  @Test("A folder that is not there is an error")
  func noFolder() {
    let error = #expect(throws: ModelError.self) {
      try CausalLanguageModel(folder: "/nonexistent/model", threads: threads)
    }
    #expect(error?.code == .invalidModel)
  }
}
