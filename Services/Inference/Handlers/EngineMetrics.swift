package import Generation
package import ServiceKit
import Synchronization

/// The engines' figures under vLLM's names, so that dashboards made for it read ours.
///
/// Safe to use from any thread.
package final class EngineMetrics: Sendable {
  private struct Entry {
    let model: String
    weak var engine: GenerationEngine?
  }

  private let entries = Mutex<[Entry]>([])

  /// Shows the figures of the engines that are added in `metrics`.
  package init(_ metrics: MetricsRegistry) {
    gauge(metrics, "num_requests_running", "Sequences being generated.", \.running)
    gauge(metrics, "num_requests_waiting", "Requests in the queue.", \.waiting)
    counter(metrics, "prompt_tokens", "Prompt tokens run.", \.promptTokens)
    counter(metrics, "generation_tokens", "Tokens generated.", \.generatedTokens)
    metrics.counter(
      "vllm:request_success",
      help: "Generations that ended, by reason.",
      labels: ["model_name", "finished_reason"]
    ) { [weak self] in
      [
        ("stop", \.finishedByStop), ("length", \.finishedByLength), ("abort", \.cancelled),
        ("error", \.failed),
      ].flatMap { (reason: String, figure: KeyPath<EngineStatus, Int>) in
        self?.samples { $0[keyPath: figure] }.map { ($0.labels + [reason], $0.value) } ?? []
      }
    }
    counter(metrics, "requests_refused", "Requests refused because the queue was full.", \.refused)
  }

  /// Shows an engine's figures for as long as it exists.
  package func add(_ engine: GenerationEngine, model: String) {
    entries.withLock { entries in
      entries.removeAll { $0.engine == nil }
      entries.append(Entry(model: model, engine: engine))
    }
  }

  private func gauge(
    _ metrics: MetricsRegistry,
    _ name: String,
    _ help: String,
    _ figure: @escaping @Sendable (EngineStatus) -> Int
  ) {
    metrics.gauge("vllm:\(name)", help: help, labels: ["model_name"]) { [weak self] in
      self?.samples(figure) ?? []
    }
  }

  private func counter(
    _ metrics: MetricsRegistry,
    _ name: String,
    _ help: String,
    _ figure: @escaping @Sendable (EngineStatus) -> Int
  ) {
    metrics.counter("vllm:\(name)", help: help, labels: ["model_name"]) { [weak self] in
      self?.samples(figure) ?? []
    }
  }

  /// A figure by model, those of several versions added up.
  private func samples(
    _ figure: (EngineStatus) -> Int
  ) -> [(labels: [String], value: Double)] {
    let figures = entries.withLock { $0 }.compactMap { entry in
      entry.engine.map { (entry.model, figure($0.status)) }
    }
    return Dictionary(figures, uniquingKeysWith: +).map { ([$0.key], Double($0.value)) }
  }
}
