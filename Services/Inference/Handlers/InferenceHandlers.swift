import Generation
package import ModelAccess
package import RPC
package import ServiceAPI

/// The inference service: finds the model, runs it, encodes what it says.
package struct InferenceHandlers: InferenceV1.InferenceService {
  private let models: LoadedModels<ServedModel>
  private let classifying: WorkPool

  /// The most texts, and the most windows of them together, of a request.
  package static let windowsMax = 4_096
  /// The most labels that a request has left out.
  package static let ignoredLabelsMax = 1_024
  /// The longest of them.
  package static let ignoredLabelBytesMax = 256

  /// Handlers that serve `models`; classification waits for its model on `classifying`.
  package init(models: LoadedModels<ServedModel>, classifying: WorkPool) {
    self.models = models
    self.classifying = classifying
  }

  /// Continues a prompt: chunks as they are made, then one `complete` that ends the stream.
  ///
  /// The task is cancelled when the caller goes away; that ends the generation within one step.
  package func generate(
    _ request: InferenceV1.GenerateRequest,
    context: ServerContext,
    responses: ResponseWriter<InferenceV1.GenerateResponse>
  ) async throws {
    let entry = try await models.entry(request.model)
    guard case .generation(let engine) = entry.model else {
      throw RPCError(.invalidArgument, entry.version.isNotFor("text generation"))
    }
    // An engine that nobody holds ends, and another model may have taken this one's place meanwhile.
    defer { withExtendedLifetime(engine) {} }
    try await rpcErrors {
      let stream = try engine.generate(try GenerationRequest(request))
      for try await event in stream {
        var response = InferenceV1.GenerateResponse()
        response.event = .init(event)
        try await responses.write(response)
      }
    }
  }

  /// Finds the entities in texts that the tokenizer service encoded.
  package func classifyTokens(
    _ request: InferenceV1.ClassifyTokensRequest,
    context: ServerContext
  ) async throws -> InferenceV1.ClassifyTokensResponse {
    let strategy = try AggregationStrategy(request.aggregationStrategy)
    try Self.check(request)
    let entry = try await models.entry(request.model)
    guard case .tokenClassification(let classifier) = entry.model else {
      throw RPCError(.invalidArgument, entry.version.isNotFor("token classification"))
    }
    return try await classifying.admit {
      var response = InferenceV1.ClassifyTokensResponse()
      for text in request.texts {
        let entities = try await rpcErrors {
          try await classifier.entities(
            of: text.text,
            windows: text.windows.map(EntityWindow.init),
            strategy: strategy,
            ignoredLabels: request.ignoreLabels,
            on: classifying
          )
        }
        var list = InferenceV1.Entities()
        list.entities = entities.map(InferenceV1.Entity.init)
        response.texts.append(list)
      }
      return response
    }
  }

  /// Scores the labels of whole texts.
  package func classifySequence(
    _ request: InferenceV1.ClassifySequenceRequest,
    context: ServerContext
  ) async throws -> InferenceV1.ClassifySequenceResponse {
    let function = try ScoreFunction(request.scoreFunction)
    guard request.texts.count <= Self.windowsMax else {
      throw RPCError(
        .invalidArgument,
        "the request has \(request.texts.count) texts; \(Self.windowsMax) are accepted"
      )
    }
    let entry = try await models.entry(request.model)
    guard case .textClassification(let classifier) = entry.model else {
      throw RPCError(.invalidArgument, entry.version.isNotFor("text classification"))
    }
    return try await classifying.admit {
      var response = InferenceV1.ClassifySequenceResponse()
      for text in request.texts {
        let scores = try await rpcErrors {
          try await classifier.scores(
            of: text.ids,
            function: function,
            topK: request.topK == 0 ? nil : Int(request.topK),
            on: classifying
          )
        }
        var list = InferenceV1.LabelScores()
        list.labels = scores.map(InferenceV1.LabelScore.init)
        response.texts.append(list)
      }
      return response
    }
  }

  /// Loads a model, so that requests for it need not wait.
  package func loadModel(
    _ request: InferenceV1.LoadModelRequest,
    context: ServerContext
  ) async throws -> InferenceV1.LoadModelResponse {
    let version = try await models.entry(request.model).version
    var response = InferenceV1.LoadModelResponse()
    response.name = version.name
    response.version = version.version
    return response
  }

  private static func check(_ request: InferenceV1.ClassifyTokensRequest) throws(RPCError) {
    let windowCount = request.texts.reduce(0) { $0 + $1.windows.count }
    guard max(request.texts.count, windowCount) <= windowsMax else {
      throw RPCError(
        .invalidArgument,
        "the request has \(request.texts.count) texts with \(windowCount) windows; "
          + "\(windowsMax) of each are accepted"
      )
    }
    guard request.ignoreLabels.count <= ignoredLabelsMax,
      request.ignoreLabels.allSatisfy({ $0.utf8.count <= ignoredLabelBytesMax })
    else {
      throw RPCError(
        .invalidArgument,
        "ignore_labels: \(ignoredLabelsMax) labels of \(ignoredLabelBytesMax) bytes are accepted"
      )
    }
  }
}

extension RegistryV1.ModelVersion {
  fileprivate func isNotFor(_ task: String) -> String {
    "model \(name) is for \(self.task), not for \(task)"
  }
}
