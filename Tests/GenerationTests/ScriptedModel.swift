import Models
import Tensors
import Testing
import Tokenizers

@testable import Generation

/// The demo chat model's tokenizer.
enum DemoChat {
  static let tokenizer = Result { try Tokenizer(folder: Environment.chatModel) }
}

/// A model of the engine's tests: the next token is a function of the tokens so far, and a step can be
/// made to wait or to fail.
final class ScriptedModel: SequenceModel {
  struct Failure: Error {}

  struct State: Sendable {
    /// Forward passes by the first token of the prompt.
    var calls: [UInt32: Int] = [:]
    /// Sequences that were made and not yet released.
    var sequences = 0
    /// The most of them at once.
    var sequencesMost = 0
    /// Steps of prompts that begin with one of these wait until it is removed.
    var stalled: Set<UInt32> = []
    /// Whether a stalled step waits now.
    var isStalling = false
    /// The largest number of tokens in one pass.
    var largestPass = 0
    /// Whether there is no memory for another sequence.
    var isFull = false
  }

  let vocabularySize = 4096
  let contextTokens: Int
  let endOfSequenceIDs: [UInt32] = [2]
  let prefillTokensMax: Int
  let cacheBytesPerToken = 100
  let state = Monitor(State())
  /// From the tokens so far to the next; nil fails.
  let next: @Sendable ([UInt32]) -> UInt32?

  init(
    contextTokens: Int = 64,
    prefillTokensMax: Int = 256,
    next: @escaping @Sendable ([UInt32]) -> UInt32?
  ) {
    self.prefillTokensMax = prefillTokensMax
    self.contextTokens = contextTokens
    self.next = next
  }

  func calls(_ first: UInt32) -> Int { state.withLock { $0.calls[first] ?? 0 } }

  func stall(_ first: UInt32) { state.notify { _ = $0.stalled.insert(first) } }

  func resume(_ first: UInt32) { state.notify { _ = $0.stalled.remove(first) } }

  func makeSequence(capacityTokens: Int) throws -> any ModelSequence {
    let isFull = state.withLock { state in
      if !state.isFull { state.sequences += 1 }
      state.sequencesMost = max(state.sequencesMost, state.sequences)
      return state.isFull
    }
    guard !isFull else { throw ModelError(.memoryLimit, "no memory") }
    return Sequence(self, capacityTokens)
  }

  final class Sequence: ModelSequence {
    let model: ScriptedModel
    let capacityTokens: Int
    var tokens: [UInt32] = []

    init(_ model: ScriptedModel, _ capacityTokens: Int) {
      self.model = model
      self.capacityTokens = capacityTokens
    }

    deinit { model.state.withLock { $0.sequences -= 1 } }

    func forward(_ added: [UInt32], logits: inout [Float]) throws {
      tokens += added
      let first = tokens[0]
      model.state.wait { state -> Void? in
        state.isStalling = state.stalled.contains(first)
        return state.isStalling ? nil : ()
      }
      model.state.withLock { state in
        state.calls[first, default: 0] += 1
        state.largestPass = max(state.largestPass, added.count)
      }
      guard tokens.count <= capacityTokens, let next = model.next(tokens) else { throw Failure() }
      logits = [Float](repeating: 0, count: model.vocabularySize)
      logits[Int(next)] = 1
    }
  }
}

extension GenerationStream {
  /// All of a stream: its text, the end's reason and counts.
  func collect() async throws -> (text: String, reason: FinishReason?, prompt: Int, completion: Int)
  {
    var result: (String, FinishReason?, Int, Int) = ("", nil, 0, 0)
    for try await event in self {
      switch event {
      case .text(let text):
        #expect(!text.isEmpty && result.1 == nil)
        result.0 += text
      case .finished(let reason, let prompt, let completion):
        result = (result.0, reason, prompt, completion)
      }
    }
    return result
  }
}

/// Waits until `condition` holds; fails after a time that only a defect takes.
func eventually(
  _ what: Comment,
  sourceLocation: SourceLocation = #_sourceLocation,
  _ condition: () -> Bool
) async {
  let deadline = ContinuousClock.now + .seconds(30)
  while !condition() {
    guard ContinuousClock.now < deadline else {
      Issue.record(what, sourceLocation: sourceLocation)
      return
    }
    await Task.yield()
  }
}
