import Hummingbird
import RPC
import ServiceAPI

/// `POST /v1/ner`: texts are encoded by the tokenizer service and classified by the inference
/// service, which also joins tokens to entities.
struct NERHandler: Sendable {
  /// Most tokens of one text, those that windows share counted in each.
  static let textTokensMax = 64 << 10

  let backends: Backends
  let catalog: ModelCatalog
  let limits: RequestLimits

  /// Answers a request.
  func answer(_ request: Request, _ context: HTTPContext) async throws -> Response {
    let ner = try NERRequest(
      json: try await request.json(on: context.channel, limits: limits.body)
    )
    return try await Deadline.$current.withValue(.after(limits.timeout)) {
      try await ClientWatch.run(
        on: context.channel,
        timeout: limits.watchTimeout,
        timeoutError: limits.timeoutError
      ) {
        .json(NERResponse.json(try await entities(ner), isList: ner.isList))
      }
    }
  }

  private func entities(_ ner: NERRequest) async throws -> [[NEREntity]] {
    let model = try await catalog.requiredModel(ner.model, for: Model.Task.tokenClassification)
    let encoder = NEREncoder(
      backends: backends,
      model: model.pinned,
      windowTokens: model.contextTokens,
      stride: ner.stride,
      isList: ner.isList
    )
    try encoder.checkStride()
    let texts = try await encoded(ner.texts, encoder)
    return try await classified(texts, ner, with: model.pinned)
  }

  /// The texts with their windows; an empty text has none.
  private func encoded(
    _ texts: [String],
    _ encoder: NEREncoder
  ) async throws -> [InferenceV1.TokenizedText] {
    try await TextEncoding.all(
      texts,
      tokens: { $0.windows.reduce(0) { $0 + $1.ids.count } },
      encode: { text, index in
        text.isEmpty ? .init() : try await encoder.encode(text, index: index)
      }
    )
  }

  /// The entities of each text, in order.
  private func classified(
    _ texts: [InferenceV1.TokenizedText],
    _ ner: NERRequest,
    with pinned: String
  ) async throws(GatewayError) -> [[NEREntity]] {
    var request = InferenceV1.ClassifyTokensRequest()
    request.model = pinned
    request.aggregationStrategy = ner.aggregation.strategy
    // On the wire an empty list is the default; a label that no model has ignores nothing.
    request.ignoreLabels = ner.ignoreLabels.isEmpty ? [""] : ner.ignoreLabels
    var entities = [[NEREntity]](repeating: [], count: texts.count)
    var batch: [Int] = []
    var bytes = 0
    for (index, text) in texts.enumerated() where !text.windows.isEmpty {
      batch.append(index)
      bytes += text.estimatedBytes
      guard bytes >= limits.callBytesMax else { continue }
      try await classify(batch, of: texts, request, ner, into: &entities)
      batch = []
      bytes = 0
    }
    if !batch.isEmpty { try await classify(batch, of: texts, request, ner, into: &entities) }
    return entities
  }

  private func classify(
    _ batch: [Int],
    of texts: [InferenceV1.TokenizedText],
    _ template: InferenceV1.ClassifyTokensRequest,
    _ ner: NERRequest,
    into entities: inout [[NEREntity]]
  ) async throws(GatewayError) {
    var request = template
    request.texts = batch.map { texts[$0] }
    let response: InferenceV1.ClassifyTokensResponse
    do throws(RPCError) {
      response = try await backends.inference.call { [request] client, options throws(RPCError) in
        try await client.classifyTokens(request, options: options)
      }
    } catch {
      throw GatewayError(error, from: "inference", model: ner.model)
    }
    guard response.texts.count == batch.count else {
      throw .internalFailure(
        cause: RPCError(.internal, "\(response.texts.count) answers to \(batch.count) texts")
      )
    }
    for (index, found) in zip(batch, response.texts) {
      entities[index] = found.entities.map { NEREntity($0, aggregation: ner.aggregation) }
    }
  }
}

extension NERRequest.Aggregation {
  fileprivate var strategy: InferenceV1.AggregationStrategy {
    switch self {
    case .none: .none
    case .simple: .simple
    case .first: .first
    case .average: .average
    case .max: .max
    }
  }
}

extension NEREntity {
  fileprivate init(_ entity: InferenceV1.Entity, aggregation: NERRequest.Aggregation) {
    self.init(
      label: entity.label,
      score: entity.score,
      index: aggregation == .none ? entity.index : nil,
      word: entity.word,
      start: entity.start,
      end: entity.end
    )
  }
}

extension InferenceV1.TokenizedText {
  /// About what the text takes on the wire, in bytes; rather more than less.
  fileprivate var estimatedBytes: Int {
    windows.reduce(text.utf8.count) { sum, window in
      // Ids up to 3 bytes, two offsets up to 4, a flag, and a length before each token.
      window.tokens.reduce(sum) { $0 + $1.utf8.count + 14 }
    }
  }
}
