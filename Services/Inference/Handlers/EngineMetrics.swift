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
    let counters: EngineCounters
    /// One per version that is loaded, or was lately.
    var engines: [WeakEngine] = []
  }

  /// By the name of the model; no more than there are registered models.
  private let entries = Mutex<[String: Entry]>([:])
  private let histograms: EngineHistograms

  /// Shows the figures of the engines that are added in `metrics`.
  package init(_ metrics: MetricsRegistry) {
    histograms = EngineHistograms(metrics)
    gauge(metrics, "num_requests_running", "Sequences being generated.", \.running)
    gauge(metrics, "num_requests_waiting", "Requests in the queue.", \.waiting)
    metrics.gauge(
      "vllm:kv_cache_usage_perc",
      help: "Share of the KV cache that running sequences have reserved; 1 is all of it.",
      labels: ["model_name"]
    ) { [weak self] in self?.cacheUsage ?? [] }
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
    entries.withLock { Self.entry(model, in: &$0, histograms).counters }
  }

  /// Shows an engine's queue for as long as the engine exists.
  package func add(_ engine: GenerationEngine, model: String) {
    entries.withLock { entries in
      var entry = Self.entry(model, in: &entries, histograms)
      entry.engines.removeAll { $0.engine == nil }
      entry.engines.append(WeakEngine(engine: engine))
      entries[model] = entry
    }
  }

  /// A model's entry, made if there is none.
  private static func entry(
    _ model: String,
    in entries: inout [String: Entry],
    _ histograms: EngineHistograms
  ) -> Entry {
    if let entry = entries[model] { return entry }
    let entry = Entry(counters: EngineCounters(observe: histograms.observer(model: model)))
    entries[model] = entry
    return entry
  }

  /// What is reserved of the caches of a model's versions together.
  private var cacheUsage: [(labels: [String], value: Double)] {
    entries.withLock { $0 }.compactMap { model, entry in
      let bytes = entry.engines.reduce(0) { $0 + ($1.engine?.cacheBytesMax ?? 0) }
      guard bytes > 0 else { return nil }
      return ([model], Double(entry.counters.value.cacheBytesReserved) / Double(bytes))
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
