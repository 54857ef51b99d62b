package import ModelAccess
import RPC
package import ServiceAPI
package import Tokenizers

/// How the service comes by its tokenizers.
package enum TokenizerLoading {
  /// Most tokenizers that are kept at once.
  package static let tokenizersMax = 32

  /// Tokenizers of registered models, loaded on `pool`; `onEvent` is told of swaps.
  package static func models(
    registry: RegistryV1.RegistryClient,
    pool: WorkPool,
    onEvent: @escaping @Sendable (ModelSwapEvent) -> Void = { _ in }
  ) -> LoadedModels<Tokenizer> {
    LoadedModels(registry: registry, modelsMax: tokenizersMax, onEvent: onEvent) { version in
      try await pool.run {
        try ModelFiles.verify(version) { !$0.hasSuffix(".safetensors") }
        do {
          return try Tokenizer(folder: version.path)
        } catch let error as TokenizerError {
          throw RPCError(error)
        }
      }
    }
  }
}
