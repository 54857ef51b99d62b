internal import Tokenizers

/// A request with the channel of its events.
struct GenerationJob: Sendable {
  let request: GenerationRequest
  let channel: EventChannel
  /// The most tokens to generate: what was asked for, as far as the context has room.
  let completionTokensMax: Int
  /// What the sequence takes while it is generated.
  let cacheBytes: Int
  /// When the request came.
  let arrived = ContinuousClock.now
}

/// A generation that runs: prompt in pieces, then token by token.
///
/// Used on the engine thread only.
final class ActiveSequence {
  /// What one step did.
  struct Step {
    var promptTokens = 0
    var generatedTokens = 0
    /// Text for the reader; may be empty.
    var text = ""
    var finish: FinishReason?
  }

  let channel: EventChannel
  let cacheBytes: Int
  /// Since when the reader has left no room; nil while there is some.
  var stalledSince: ContinuousClock.Instant?
  var promptTokens: Int { request.promptIDs.count }
  private(set) var completionTokens = 0
  private(set) var clock: GenerationClock

  private let request: GenerationRequest
  private let sequence: any ModelSequence
  private let endIDs: [UInt32]
  private let completionTokensMax: Int
  private var promptTokensRun = 0
  private var lastToken: UInt32 = 0
  private var sampler: Sampler
  private var decoder: DecodeStream
  private var stop: StopMatcher

  /// Reserves the sequence's memory in the model; throws the model's error.
  init(_ job: GenerationJob, model: any SequenceModel, tokenizer: Tokenizer) throws {
    request = job.request
    channel = job.channel
    endIDs = model.endOfSequenceIDs
    completionTokensMax = job.completionTokensMax
    cacheBytes = job.cacheBytes
    clock = GenerationClock(arrived: job.arrived)
    sequence = try model.makeSequence(
      capacityTokens: request.promptIDs.count + completionTokensMax
    )
    sampler = Sampler(request.sampling)
    decoder = tokenizer.decodeStream()
    stop = StopMatcher(request.stop)
  }

  /// What the generation took so far.
  var figures: GenerationFigures {
    clock.figures(promptTokens: promptTokens, completionTokens: completionTokens)
  }

  /// Notes that the last step chose a token, and tells what that says.
  func noteToken() -> EngineObservation { clock.noteToken() }

  /// Runs the next piece of the prompt or the last token; `logits` is scratch, `[vocabulary]` f32.
  func step(prefillTokensMax: Int, logits: inout [Float]) throws -> Step {
    var step = Step()
    if promptTokensRun < promptTokens {
      let end = min(promptTokens, promptTokensRun + prefillTokensMax)
      try sequence.forward(Array(request.promptIDs[promptTokensRun..<end]), logits: &logits)
      step.promptTokens = end - promptTokensRun
      promptTokensRun = end
      guard end == promptTokens else { return step }
    } else {
      try sequence.forward([lastToken], logits: &logits)
    }
    lastToken = try sampler.sample(logits)
    completionTokens += 1
    step.generatedTokens = 1
    try postprocess(&step)
    return step
  }

  /// Turns the sampled token into text, and decides whether it is the last.
  private func postprocess(_ step: inout Step) throws {
    if endIDs.contains(lastToken) {
      step.finish = .stop
    } else {
      step.text = stop.append(try decoder.append(lastToken))
      if stop.isMatched {
        step.finish = .stop
        return
      }
      if completionTokens == completionTokensMax { step.finish = .length }
    }
    if step.finish != nil {
      step.text += stop.append(decoder.finish())
      step.text += stop.finish()
    }
  }
}
