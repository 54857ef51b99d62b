import Hummingbird
import RPC
import ServiceAPI

/// `POST /v1/classify`: texts are encoded by the tokenizer service and scored by the inference service.
///
/// A text longer than the model's context is cut after it.
struct ClassifyHandler: Sendable {
  /// Most texts in one call of the inference service.
  static let callTextsMax = 64

  let backends: Backends
  let catalog: ModelCatalog
  let limits: RequestLimits

  /// Answers a request.
  func answer(_ request: Request, _ context: HTTPContext) async throws -> Response {
    let classify = try ClassifyRequest(
      json: try await request.json(on: context.channel, limits: limits.body)
    )
    return try await Deadline.$current.withValue(.after(limits.timeout)) {
      try await ClientWatch.run(
        on: context.channel,
        timeout: limits.watchTimeout,
        timeoutError: limits.timeoutError
      ) {
        .json(ClassifyResponse.json(try await scores(classify), isList: classify.isList))
      }
    }
  }

  private func scores(_ classify: ClassifyRequest) async throws -> [[InferenceV1.LabelScore]] {
    let model = try await catalog.requiredModel(classify.model, for: Model.Task.textClassification)
    let texts = try await TextEncoding.all(classify.texts, tokens: { $0.ids.count }) {
      [backends] text, _ in
      try await Self.encode(text, model, backends)
    }
    var request = InferenceV1.ClassifySequenceRequest()
    request.model = model.pinned
    request.topK = classify.topK ?? 0
    request.scoreFunction = classify.function.scoreFunction
    var scores: [[InferenceV1.LabelScore]] = []
    for start in stride(from: 0, to: texts.count, by: Self.callTextsMax) {
      request.texts = Array(texts[start..<min(texts.count, start + Self.callTextsMax)])
      scores += try await call(request, classify.model)
    }
    return scores
  }

  private static func encode(
    _ text: String,
    _ model: Model,
    _ backends: Backends
  ) async throws(GatewayError) -> InferenceV1.TokenSequence {
    var request = TokenizerV1.EncodeRequest()
    request.model = model.pinned
    request.text = text
    request.windowTokens = UInt32(model.contextTokens)
    do throws(RPCError) {
      let response = try await backends.tokenizer.encode(request, options: backends.callOptions)
      var sequence = InferenceV1.TokenSequence()
      sequence.ids = response.windows.first?.ids ?? []
      return sequence
    } catch {
      throw GatewayError(error, from: "tokenizer", model: model.name)
    }
  }

  private func call(
    _ request: InferenceV1.ClassifySequenceRequest,
    _ model: String
  ) async throws(GatewayError) -> [[InferenceV1.LabelScore]] {
    let response: InferenceV1.ClassifySequenceResponse
    do throws(RPCError) {
      response = try await backends.inference.call { client, options throws(RPCError) in
        try await client.classifySequence(request, options: options)
      }
    } catch {
      throw GatewayError(error, from: "inference", model: model)
    }
    guard response.texts.count == request.texts.count else {
      throw .internalFailure(
        cause: RPCError(
          .internal,
          "\(response.texts.count) answers to \(request.texts.count) texts"
        )
      )
    }
    return response.texts.map(\.labels)
  }
}

extension ClassifyRequest.Function? {
  fileprivate var scoreFunction: InferenceV1.ScoreFunction {
    switch self {
    case nil: .unspecified
    case .some(.none): .none
    case .sigmoid: .sigmoid
    case .softmax: .softmax
    }
  }
}
