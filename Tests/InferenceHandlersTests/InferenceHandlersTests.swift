import InferenceHandlers
import RPC
import ServiceAPI
import Testing

/// The service is called by others than the gateway: it checks all that it is sent.
@Suite("The inference service", .serialized, .timeLimit(.minutes(5)))
struct InferenceHandlersTests {
  @Test("answers what is right") func right() async throws {
    try await InferenceFixture.run { inference in
      let generation = await inference.refusal { (_: inout InferenceV1.GenerateRequest) in }
      #expect(generation?.code == nil)
      let entities = await inference.refusal { (_: inout InferenceV1.ClassifyTokensRequest) in }
      #expect(entities?.code == nil)
    }
  }

  private static let generations:
    [String: (StatusCode, @Sendable (inout InferenceV1.GenerateRequest) -> Void)] = [
      "an unknown model": (.notFound, { $0.model = "nobody" }),
      "another task's model": (.invalidArgument, { $0.model = "ner-wikiann" }),
      "an empty prompt": (.invalidArgument, { $0.promptIDs = [] }),
      "an id out of range": (.invalidArgument, { $0.promptIDs = [1, .max] }),
      "a prompt longer than the context": (
        .invalidArgument, { $0.promptIDs = Array(repeating: 1, count: 100_000) }
      ),
      "a temperature below 0": (
        .invalidArgument, { $0.sampling = sampling { $0.temperature = -1 } }
      ),
      "a temperature that is no number": (
        .invalidArgument, { $0.sampling = sampling { $0.temperature = .nan } }
      ),
      "an infinite temperature": (
        .invalidArgument, { $0.sampling = sampling { $0.temperature = .infinity } }
      ),
      "top_p of 0": (.invalidArgument, { $0.sampling = sampling { $0.topP = 0 } }),
      "top_p over 1": (.invalidArgument, { $0.sampling = sampling { $0.topP = 1.5 } }),
      "top_p that is no number": (.invalidArgument, { $0.sampling = sampling { $0.topP = .nan } }),
      "an empty stop text": (.invalidArgument, { $0.stop = [""] }),
      "many stop texts": (.invalidArgument, { $0.stop = Array(repeating: "a", count: 10_000) }),
      "a long stop text": (
        .invalidArgument, { $0.stop = [String(repeating: "a", count: 1 << 20)] }
      ),
    ]

  private static func sampling(
    _ change: (inout InferenceV1.Sampling) -> Void
  ) -> InferenceV1.Sampling {
    var sampling = InferenceV1.Sampling()
    change(&sampling)
    return sampling
  }

  @Test("refuses a generation that asks for too much") func generation() async throws {
    try await InferenceFixture.run { inference in
      for (name, (code, change)) in Self.generations {
        let error = await inference.refusal(change)
        #expect(error?.code == code, "\(name): \(String(describing: error))")
      }
    }
  }

  private static let classifications:
    [String: (StatusCode, @Sendable (inout InferenceV1.ClassifyTokensRequest) -> Void)] = [
      "an unknown model": (.notFound, { $0.model = "nobody" }),
      "another task's model": (.invalidArgument, { $0.model = "support-chat" }),
      "no strategy": (.invalidArgument, { $0.aggregationStrategy = .init(rawValue: 0) }),
      "an unknown strategy": (.invalidArgument, { $0.aggregationStrategy = .init(rawValue: 99) }),
      "too many texts": (
        .invalidArgument,
        { $0.texts = Array(repeating: .init(), count: InferenceHandlers.windowsMax + 1) }
      ),
      "too many windows": (
        .invalidArgument,
        {
          let window = $0.texts[0].windows[0]
          $0.texts[0].windows = Array(repeating: window, count: InferenceHandlers.windowsMax + 1)
        }
      ),
      "too many labels": (
        .invalidArgument,
        { $0.ignoreLabels = Array(repeating: "a", count: InferenceHandlers.ignoredLabelsMax + 1) }
      ),
      "a long label": (
        .invalidArgument,
        {
          $0.ignoreLabels = [
            String(repeating: "a", count: InferenceHandlers.ignoredLabelBytesMax + 1)
          ]
        }
      ),
      "an id out of range": (.invalidArgument, { $0.texts[0].windows[0].ids = [.max] }),
      "an empty window": (.invalidArgument, { $0.texts[0].windows = [.init()] }),
      "a window longer than the context": (
        .invalidArgument,
        {
          var window = InferenceV1.TokenWindow()
          window.ids = Array(repeating: 1, count: 5000)
          window.tokens = Array(repeating: "a", count: 5000)
          window.starts = Array(repeating: 0, count: 5000)
          window.ends = Array(repeating: 1, count: 5000)
          window.special = Array(repeating: false, count: 5000)
          $0.texts[0].windows = [window]
        }
      ),
      "lists of different length": (.invalidArgument, { $0.texts[0].windows[0].tokens = [] }),
      "an end before its start": (
        .invalidArgument,
        {
          $0.texts[0].windows[0].starts = [2]
          $0.texts[0].windows[0].ends = [1]
        }
      ),
    ]

  @Test("refuses a classification that does not fit") func classification() async throws {
    try await InferenceFixture.run { inference in
      for (name, (code, change)) in Self.classifications {
        let error = await inference.refusal(change)
        #expect(error?.code == code, "\(name): \(String(describing: error))")
      }
    }
  }
}
