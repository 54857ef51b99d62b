import Hummingbird

/// `GET /v1/models` and `GET /v1/models/{id}`.
struct ModelsHandler: Sendable {
  let catalog: ModelCatalog

  /// All models, one entry per name.
  func list() async throws -> Response {
    var json = JSONText(capacity: 1024)
    json.raw(#"{"object":"list","data":["#)
    for (index, model) in try await catalog.list().models.enumerated() {
      if index > 0 { json.raw(",") }
      Self.append(model, id: model.name, to: &json)
    }
    json.raw("]}")
    return .json(json.bytes)
  }

  /// The model that a name, or a name with version or alias, means.
  func get(_ id: String) async throws -> Response {
    // No longer than a request's; looking a hostile name up takes time quadratic in its length.
    guard id.utf8.count <= ChatRequest.Limits.modelBytesMax else {
      throw GatewayError.modelNotFound(id)
    }
    guard let model = try await catalog.model(id) else {
      throw GatewayError(
        .unavailable,
        "The registry service is not available. Please try again later."
      )
    }
    var json = JSONText()
    Self.append(model, id: id, to: &json)
    return .json(json.bytes)
  }

  private static func append(_ model: Model, id: String, to json: inout JSONText) {
    json.raw(#"{"id":"#)
    json.string(id)
    json.raw(#","object":"model","created":"#)
    json.number(model.created)
    json.raw(#","owned_by":"llmos","task":"#)
    json.string(model.task)
    json.raw(#","version":"#)
    json.number(model.version)
    json.raw(#","context_tokens":"#)
    json.number(model.contextTokens)
    json.raw("}")
  }
}
