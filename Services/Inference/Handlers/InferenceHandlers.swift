import Generation
package import ModelAccess
package import NIOPosix
package import RPC
package import ServiceAPI

/// The inference service: finds the model, runs it, encodes what it says.
package struct InferenceHandlers: InferenceV1.InferenceService {
  private let models: LoadedModels<ServedModel>
  private let blocking: NIOThreadPool

  /// Handlers that serve `models`; classification waits for its model on `blocking`.
  package init(models: LoadedModels<ServedModel>, blocking: NIOThreadPool) {
    self.models = models
    self.blocking = blocking
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
    let entry = try await models.entry(request.model)
    guard case .tokenClassification(let classifier) = entry.model else {
      throw RPCError(.invalidArgument, entry.version.isNotFor("token classification"))
    }
    let ignoredLabels = Set(request.ignoreLabels)
    var response = InferenceV1.ClassifyTokensResponse()
    for text in request.texts {
      // One text at a time, so that a caller that went away costs no more than one.
      try Task.checkCancellation()
      let entities = try await blocking.runIfActive {
        try rpcErrors {
          try classifier.entities(
            of: text.text,
            windows: try text.windows.map(EntityWindow.init),
            strategy: strategy,
            ignoredLabels: ignoredLabels
          )
        }
      }
      var list = InferenceV1.Entities()
      list.entities = entities.map(InferenceV1.Entity.init)
      response.texts.append(list)
    }
    return response
  }
}

extension RegistryV1.ModelVersion {
  fileprivate func isNotFor(_ task: String) -> String {
    "model \(name) is for \(self.task), not for \(task)"
  }
}
