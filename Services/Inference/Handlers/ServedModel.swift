package import Generation
package import ModelAccess
import Models
import RPC
package import ServiceAPI
package import Tensors
import Tokenizers

/// A loaded model, ready to answer.
package enum ServedModel: Sendable {
  /// Continues prompts.
  case generation(GenerationEngine)
  /// Finds entities.
  case tokenClassification(TokenClassifier)
  /// Scores the labels of texts.
  case textClassification(SequenceClassifier)
}

extension ServedModel {
  /// Most models that are kept at once.
  package static let modelsMax = 16

  /// Models of the registry, loaded on `loading` and computed on `threads`; `onEvent` is told of swaps.
  package static func models(
    registry: RegistryV1.RegistryClient,
    loading: WorkPool,
    threads: ThreadPool,
    metrics: EngineMetrics,
    onEvent: @escaping @Sendable (ModelSwapEvent) -> Void = { _ in }
  ) -> LoadedModels<ServedModel> {
    LoadedModels(registry: registry, modelsMax: modelsMax, onEvent: onEvent) { version in
      try await loading.run {
        try ModelFiles.verify(version)
        return try rpcErrors { try ServedModel(version, threads: threads, metrics: metrics) }
      }
    }
  }

  /// Ends what the model runs, so that no thread of it computes while the process ends.
  package func shutdown() async {
    if case .generation(let engine) = self { await engine.shutdown() }
  }

  /// Loads the files of a version.
  init(
    _ version: RegistryV1.ModelVersion,
    threads: ThreadPool,
    metrics: EngineMetrics
  ) throws {
    let tokenizer = try Tokenizer(folder: version.path)
    switch version.task {
    case "text-generation":
      let model = try CausalLanguageModel(folder: version.path, threads: threads)
      let engine = try GenerationEngine(
        model: model,
        tokenizer: tokenizer,
        counters: metrics.counters(model: version.name)
      )
      metrics.add(engine, model: version.name)
      self = .generation(engine)
    case "token-classification":
      let model = try TokenClassificationModel(folder: version.path, threads: threads)
      self = .tokenClassification(TokenClassifier(model: model, tokenizer: tokenizer))
    case "text-classification":
      let model = try SequenceClassificationModel(folder: version.path, threads: threads)
      self = .textClassification(SequenceClassifier(model: model))
    default:
      throw RPCError(
        .failedPrecondition,
        "model \(version.name)@\(version.version) is for \(version.task), which is not served"
      )
    }
  }
}
