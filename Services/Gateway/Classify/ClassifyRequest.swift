import JSON

/// A checked request of `POST /v1/classify`, the shape of Hugging Face's text classification.
struct ClassifyRequest: Sendable, Equatable {
  /// What makes scores of a model's logits.
  enum Function: String, Sendable, CaseIterable {
    case none, sigmoid, softmax
  }

  var model: String
  var texts: [String]
  /// Whether the request held a list of texts, even of one: the answer then is a list of lists.
  var isList: Bool
  /// The most labels of a text; nil: all.
  var topK: UInt32? = 1
  /// nil: the function that the model's configuration implies.
  var function: Function?

  /// Reads and checks a request's JSON.
  init(json: JSONValue) throws(GatewayError) {
    guard case .object(let object) = json else { throw .type(of: "body", "an object", json) }
    let fields = JSONFields(object: object)
    try fields.refuseUnknown(["model", "inputs", "parameters"])
    guard
      let model = try fields.text("model", bytesMax: ChatRequest.Limits.modelBytesMax),
      !model.isEmpty
    else { throw fields.missing("model") }
    self.model = model
    (texts, isList) = try NERRequest.texts(of: fields)
    guard let parameters = fields.value("parameters") else { return }
    try readParameters(try JSONFields(parameters, name: "parameters"))
  }

  private mutating func readParameters(_ fields: JSONFields) throws(GatewayError) {
    try fields.refuseUnknown(["top_k", "function_to_apply"])
    if let count = try fields.integer("top_k", in: 1...Int128(Int32.max)) {
      topK = UInt32(count)
    } else if fields.isNull("top_k") {
      // As in transformers: `null` asks for all.
      topK = nil
    }
    if let word = try fields.choice("function_to_apply", of: Function.allCases.map(\.rawValue)) {
      function = Function(rawValue: word)
    }
  }
}
