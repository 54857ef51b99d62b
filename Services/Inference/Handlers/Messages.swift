import Generation
import RPC
import ServiceAPI

extension GenerationRequest {
  /// What a message asks for; throws GenerationError for values out of range.
  init(_ message: InferenceV1.GenerateRequest) throws {
    let sampling = message.sampling ?? InferenceV1.Sampling()
    try self.init(
      promptIDs: message.promptIDs,
      sampling: try SamplingParameters(
        temperature: sampling.temperature ?? 1,
        topK: Int(sampling.topK),
        topP: sampling.topP ?? 1,
        seed: sampling.seed
      ),
      maxTokens: message.maxTokens == 0 ? nil : Int(message.maxTokens),
      stop: message.stop
    )
  }
}

extension InferenceV1.GenerateResponse.Event {
  /// The message of an engine's event.
  init(_ event: GenerationEvent) {
    switch event {
    case .text(let text):
      var chunk = InferenceV1.Chunk()
      chunk.text = text.carried
      self = .chunk(chunk)
    case .finished(let reason, let promptTokens, let completionTokens):
      var complete = InferenceV1.Complete()
      complete.finishReason = reason == .stop ? .stop : .length
      complete.promptTokens = UInt32(promptTokens)
      complete.completionTokens = UInt32(completionTokens)
      self = .complete(complete)
    }
  }
}

extension AggregationStrategy {
  /// The strategy a message names.
  init(_ message: InferenceV1.AggregationStrategy) throws(RPCError) {
    switch message {
    case .none: self = .none
    case .simple: self = .simple
    case .first: self = .first
    case .average: self = .average
    case .max: self = .max
    default:
      throw RPCError(
        .invalidArgument,
        "aggregation_strategy is \(message.rawValue); none, simple, first, average and max are 1 to 5"
      )
    }
  }
}

extension ScoreFunction {
  /// The function a message names; nil for the model's own.
  init?(_ message: InferenceV1.ScoreFunction) throws(RPCError) {
    switch message {
    case .unspecified: return nil
    case .none: self = .none
    case .sigmoid: self = .sigmoid
    case .softmax: self = .softmax
    default:
      throw RPCError(
        .invalidArgument,
        "score_function is \(message.rawValue); none, sigmoid and softmax are 1 to 3"
      )
    }
  }
}

extension InferenceV1.LabelScore {
  /// The message of a label's score.
  init(_ score: LabelScore) {
    self.init()
    label = score.label
    self.score = score.score
  }
}

extension EntityWindow {
  /// A window as the tokenizer service made it; throws GenerationError when its lists do not fit each other.
  init(_ message: InferenceV1.TokenWindow) throws(GenerationError) {
    try self.init(
      ids: message.ids,
      tokens: message.tokens,
      starts: message.starts,
      ends: message.ends,
      special: message.special
    )
  }
}

extension InferenceV1.Entity {
  /// The message of an entity.
  init(_ entity: Entity) {
    self.init()
    label = entity.label
    score = entity.score
    word = entity.word
    start = UInt32(entity.start)
    end = UInt32(entity.end)
    index = UInt32(entity.index ?? 0)
  }
}
