import Generation
import ServiceKit

/// The distributions of what the engines measure, with vLLM's names and buckets (`vllm/v1/metrics/loggers.py`), so that
/// quantiles over both are comparable.
struct EngineHistograms: Sendable {
  private static let firstTokenBuckets: [Double] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40,
    80, 160, 640, 2560,
  ]
  private static let tokenBuckets: [Double] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  ]
  private static let requestBuckets: [Double] = [
    0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
  ]
  private static let roundBuckets: [Double] = [
    1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,
  ]
  /// vLLM's are the 1, 2 and 5 up to the model's context; models of one process share them here.
  private static let lengthBuckets: [Double] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000,
  ]

  private let firstToken: HistogramFamily
  private let nextToken: HistogramFamily
  /// The name that vLLM gave it before; its dashboards have either.
  private let perOutputToken: HistogramFamily
  private let request: HistogramFamily
  private let queue: HistogramFamily
  private let inference: HistogramFamily
  private let prefill: HistogramFamily
  private let decode: HistogramFamily
  private let promptTokens: HistogramFamily
  private let generatedTokens: HistogramFamily
  private let roundTokens: HistogramFamily

  init(_ metrics: MetricsRegistry) {
    func histogram(_ name: String, _ help: String, _ buckets: [Double]) -> HistogramFamily {
      metrics.histogram("vllm:\(name)", help: help, labels: ["model_name"], buckets: buckets)
    }
    func seconds(_ name: String, _ help: String) -> HistogramFamily {
      histogram("\(name)_seconds", help, Self.requestBuckets)
    }
    firstToken = histogram(
      "time_to_first_token_seconds",
      "From a request's coming to its first token.",
      Self.firstTokenBuckets
    )
    nextToken = histogram(
      "inter_token_latency_seconds",
      "From a token to the next one of the same generation.",
      Self.tokenBuckets
    )
    perOutputToken = histogram(
      "time_per_output_token_seconds",
      "The same as vllm:inter_token_latency_seconds, under its older name.",
      Self.tokenBuckets
    )
    request = seconds("e2e_request_latency", "From a request's coming to its last token.")
    queue = seconds("request_queue_time", "From a request's coming to its start.")
    inference = seconds("request_inference_time", "From a request's start to its last token.")
    prefill = seconds("request_prefill_time", "From a request's start to its first token.")
    decode = seconds("request_decode_time", "From a request's first token to its last.")
    promptTokens = histogram("request_prompt_tokens", "Tokens of a prompt.", Self.lengthBuckets)
    generatedTokens = histogram(
      "request_generation_tokens",
      "Tokens generated for a request.",
      Self.lengthBuckets
    )
    roundTokens = histogram(
      "iteration_tokens_total",
      "Tokens, of prompts and answers, that a round of the engine runs.",
      Self.roundBuckets
    )
  }

  /// Takes in what the engines of a model measure.
  func observer(model: String) -> @Sendable (EngineObservation) -> Void {
    // Looked up once: one of them is called for every token.
    let (first, next, perOutput) = (firstToken[model], nextToken[model], perOutputToken[model])
    let (queue, round) = (queue[model], roundTokens[model])
    let (request, inference) = (request[model], inference[model])
    let (prefill, decode) = (prefill[model], decode[model])
    let (prompt, generated) = (promptTokens[model], generatedTokens[model])
    return { observation in
      switch observation {
      case .started(let queued): queue.observe(queued)
      case .firstToken(let duration): first.observe(duration)
      case .nextToken(let duration):
        next.observe(duration)
        perOutput.observe(duration)
      case .round(let tokens): round.observe(Double(tokens))
      case .finished(let figures):
        let running = figures.prefill + figures.decode
        request.observe(figures.queued + running)
        inference.observe(running)
        prefill.observe(figures.prefill)
        decode.observe(figures.decode)
        prompt.observe(Double(figures.promptTokens))
        generated.observe(Double(figures.completionTokens))
      }
    }
  }
}
