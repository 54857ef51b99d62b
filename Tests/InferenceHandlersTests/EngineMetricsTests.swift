import RPC
import ServiceAPI
import ServiceKit
import Testing

@Suite("Engine metrics", .timeLimit(.minutes(5)))
struct EngineMetricsTests {
  @Test("a chat is seen in vLLM's figures, each once")
  func chat() async throws {
    try await InferenceFixture.run { fixture in
      var request = InferenceV1.GenerateRequest()
      request.model = "support-chat"
      request.promptIDs = [1, 2, 3]
      request.maxTokens = 6
      var tokens = 0
      for try await response in try await fixture.client.generate(request) {
        if case .complete(let complete)? = response.event {
          tokens = Int(complete.completionTokens)
        }
      }
      try #require((1...6).contains(tokens))
      let lines = Set(fixture.metrics.exposition().split(separator: "\n").map(String.init))
      let model = #"{model_name="support-chat"}"#
      for (name, count) in [
        ("time_to_first_token_seconds", 1), ("request_queue_time_seconds", 1),
        ("inter_token_latency_seconds", tokens - 1),
        ("time_per_output_token_seconds", tokens - 1), ("e2e_request_latency_seconds", 1),
        ("request_inference_time_seconds", 1), ("request_prefill_time_seconds", 1),
        ("request_decode_time_seconds", 1), ("request_prompt_tokens", 1),
        ("request_generation_tokens", 1),
      ] {
        #expect(lines.contains("vllm:\(name)_count\(model) \(count)"), "\(name)")
      }
      for line in [
        "vllm:request_prompt_tokens_sum\(model) 3",
        "vllm:request_generation_tokens_sum\(model) \(tokens)",
        "vllm:prompt_tokens_total\(model) 3", "vllm:generation_tokens_total\(model) \(tokens)",
        "vllm:kv_cache_usage_perc\(model) 0", "vllm:num_requests_waiting\(model) 0",
        "vllm:num_requests_running\(model) 0",
        #"vllm:request_prompt_tokens_bucket{model_name="support-chat",le="2"} 0"#,
        #"vllm:request_prompt_tokens_bucket{model_name="support-chat",le="5"} 1"#,
        "# TYPE vllm:iteration_tokens_total histogram",
      ] {
        #expect(lines.contains(line), "\(line)")
      }
    }
  }
}
