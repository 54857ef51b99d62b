import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import RPC
import ServiceAPI
import ServiceKit

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `POST /v1/chat/completions`: one call to the tokenizer service, one stream from the inference
/// service, whatever the length.
struct ChatHandler: Sendable {
  let backends: Backends
  let catalog: ModelCatalog
  let metrics: GatewayMetrics
  let limits: RequestLimits
  let logger: Logger

  /// Answers a request: all at once, or as server-sent events.
  func answer(_ request: Request, _ context: HTTPContext) async throws -> Response {
    let chat = try ChatRequest(
      json: try await request.json(on: context.channel, limits: limits.body)
    )
    return try await Deadline.$current.withValue(.after(limits.timeout)) {
      if chat.stream { return try await streamed(chat, context.channel) }
      return try await ClientWatch.run(
        on: context.channel,
        timeout: limits.watchTimeout,
        timeoutError: limits.timeoutError
      ) {
        try await collected(chat)
      }
    }
  }

  // MARK: - All at once

  /// A call whose replica is lost is made anew, however much of the answer was there: nothing was sent.
  ///
  /// Greedy and seeded sampling give the same text again; without a seed each text is as good an answer as another.
  private func collected(_ chat: ChatRequest) async throws -> Response {
    let (request, head) = try await prepare(chat)
    let (text, complete): (String, InferenceV1.Complete)
    do throws(RPCError) {
      (text, complete) = try await backends.inference.call { client, options throws(RPCError) in
        var text = ""
        let stream = try await client.generate(request, options: options)
        var iterator = stream.makeAsyncIterator()
        while let response = try await iterator.next() {
          switch response.event {
          case .chunk(let chunk): text += chunk.text
          case .complete(let complete):
            // The status that follows says nothing new, but the call is not given up before it.
            _ = try? await iterator.next()
            return (text, complete)
          case nil: break
          }
        }
        throw RPCError.incompleteGeneration
      }
    } catch {
      throw GatewayError(error, from: "inference", model: chat.model)
    }
    return .json(head.completion(text: text, finish: .init(complete), usage: .init(complete)))
  }

  // MARK: - Server-sent events

  private func streamed(_ chat: ChatRequest, _ channel: any Channel) async throws -> Response {
    // Until the generation's first event an error still is an HTTP status of its own.
    let (head, first) = try await ClientWatch.run(
      on: channel,
      timeout: limits.watchTimeout,
      timeoutError: limits.timeoutError
    ) {
      let (request, head) = try await prepare(chat)
      let first = FirstEvent { [inference = backends.inference] () throws(RPCError) in
        try await inference.generate(request)
      }
      await first.wait(atMost: limits.headDelay, on: channel.eventLoop)
      guard first.isDone else { return (head, first) }
      do throws(RPCError) {
        _ = try await first.value()
      } catch {
        throw GatewayError(error, from: "inference", model: chat.model)
      }
      return (head, first)
    }
    let events = ChatEventStream(
      frames: ChatStreamFrames(head: head, includeUsage: chat.includeUsage),
      includeUsage: chat.includeUsage,
      first: first,
      channel: channel,
      limits: limits,
      metrics: metrics,
      entry: RequestLoad.current,
      context: ServiceKit.RequestContext.current,
      logger: logger
    )
    return Response(
      status: .ok,
      headers: [
        .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache",
        .accelBuffering: "no",
      ],
      body: ResponseBody { try await events.write(to: &$0) }
    )
  }

  // MARK: - The two calls

  /// Calls the tokenizer service; returns what to ask the inference service.
  private func prepare(
    _ chat: ChatRequest
  ) async throws(GatewayError) -> (InferenceV1.GenerateRequest, ChatCompletionHead) {
    let model = try await catalog.model(chat.model, for: Model.Task.textGeneration)
    // One version for both calls: the tokens of one mean nothing to another.
    let pinned = model?.pinned ?? chat.model
    let prompt = try await render(chat, with: pinned)
    if let model, model.contextTokens > 0, prompt.count >= model.contextTokens {
      throw .invalid(
        "messages",
        "context_length_exceeded",
        "This model's maximum context length is \(model.contextTokens) tokens. However, your "
          + "messages resulted in \(prompt.count) tokens. Please reduce the length of the messages."
      )
    }
    var request = InferenceV1.GenerateRequest()
    request.model = pinned
    request.promptIDs = prompt
    request.maxTokens = chat.maxTokens ?? 0
    request.stop = chat.stop
    var sampling = InferenceV1.Sampling()
    sampling.temperature = chat.temperature
    sampling.topP = chat.topP
    sampling.topK = chat.topK
    sampling.seed = chat.seed
    request.sampling = sampling
    return (request, Self.head(chat, model))
  }

  private func render(
    _ chat: ChatRequest,
    with pinned: String
  ) async throws(GatewayError) -> [UInt32] {
    var request = TokenizerV1.RenderChatRequest()
    request.model = pinned
    request.messages = chat.messages.map { message in
      var own = TokenizerV1.ChatMessage()
      own.role = message.role
      own.content = message.content
      return own
    }
    do throws(RPCError) {
      return try await backends.tokenizer.renderChat(request, options: backends.callOptions).ids
    } catch {
      throw GatewayError(error, from: "tokenizer", model: chat.model)
    }
  }

  private static func head(_ chat: ChatRequest, _ model: Model?) -> ChatCompletionHead {
    ChatCompletionHead(
      id: "chatcmpl-" + ServiceKit.RequestContext.freshID(),
      created: Int(Date().timeIntervalSince1970),
      model: chat.model,
      // Answers of one seed are the same as long as the model's files are.
      systemFingerprint: "fp_" + (model.map { String($0.digest.prefix(12)) } ?? "unknown")
    )
  }
}

extension RPCError {
  /// A stream of the inference service that ends as if it were complete.
  static let incompleteGeneration = RPCError(
    .internal,
    "the generation ended without its last event"
  )
}

extension ChatFinishReason {
  init(_ complete: InferenceV1.Complete) {
    self = complete.finishReason == .length ? .length : .stop
  }
}

extension ChatUsage {
  init(_ complete: InferenceV1.Complete) {
    self.init(
      promptTokens: complete.promptTokens,
      completionTokens: complete.completionTokens
    )
  }
}
