package import Logging
import RPC
package import ServiceKit

/// Logs and counts the swaps of a service's models.
package struct ModelSwapReport: Sendable {
  private let logger: Logger
  private let swaps: CounterFamily

  /// Counts in `llmos_model_swaps_total`, by model and outcome.
  package init(metrics: MetricsRegistry, logger: Logger) {
    self.logger = logger
    swaps = metrics.counter(
      "llmos_model_swaps_total",
      help: "New versions of models in use: loaded, or failed and the one before goes on.",
      labels: ["model_name", "outcome"]
    )
  }

  /// Takes in an event.
  package func callAsFunction(_ event: ModelSwapEvent) {
    switch event {
    case .loaded(let model, let version, let duration):
      swaps[model, "loaded"].add()
      logger.info("model \(model)@\(version) was loaded in \(duration) and serves from now on")
    case .failed(let model, let version, let error):
      swaps[model, "failed"].add()
      let reason = (error as? RPCError)?.message ?? "\(error)"
      logger.error(
        "model \(model)@\(version) cannot be loaded, the version before goes on: \(reason)"
      )
    }
  }
}
