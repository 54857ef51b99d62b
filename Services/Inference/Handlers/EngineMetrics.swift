package import Generation
package import ServiceKit
import Synchronization

/// The engines' figures under vLLM's names, so that dashboards made for it read ours.
///
/// Safe to use from any thread.
package final class EngineMetrics: Sendable {
  private struct WeakEngine {
    weak var engine: GenerationEngine?
  }

  /// A model's counts, which outlive its engines.
  private struct Entry {
    let counters = EngineCounters()
    /// One per version that is loaded, or was lately.
    var engines: [WeakEngine] = []
  }

  /// By the name of the model; no more than there are registered models.
  private let entries = Mutex<[String: Entry]>([:])

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

  /// What the engines of all versions of a model count in.
  package func counters(model: String) -> EngineCounters {
    entries.withLock { entries in
      let entry = entries[model] ?? Entry()
      entries[model] = entry
      return entry.counters
    }
  }

  /// Shows an engine's queue for as long as the engine exists.
  package func add(_ engine: GenerationEngine, model: String) {
    entries.withLock { entries in
      entries[model, default: Entry()].engines.removeAll { $0.engine == nil }
      entries[model, default: Entry()].engines.append(WeakEngine(engine: engine))
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
    entries.withLock { $0 }.map { model, entry in
      var status = entry.counters.value
      status.waiting = entry.engines.reduce(0) { $0 + ($1.engine?.status.waiting ?? 0) }
      return ([model], Double(figure(status)))
    }
  }
}
