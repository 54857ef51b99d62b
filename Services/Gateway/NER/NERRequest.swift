import JSON

/// A checked request of `POST /v1/ner`, the shape of Hugging Face's token classification.
struct NERRequest: Sendable, Equatable {
  /// How token labels become entities.
  enum Aggregation: String, Sendable, CaseIterable {
    case none, simple, first, average, max
  }

  /// Limits of what a request may hold.
  enum Limits {
    /// Most texts.
    static let textsMax = 256
    /// Longest text, in bytes.
    static let textBytesMax = 256 << 10
    /// Most labels to ignore.
    static let labelsMax = 256
    /// Longest label, in bytes.
    static let labelBytesMax = 256
  }

  var model: String
  var texts: [String]
  /// Whether the request held a list of texts, even of one: the answer then is a list of lists.
  var isList: Bool
  var aggregation = Aggregation.simple
  var ignoreLabels = ["O"]
  /// Tokens that neighbouring windows share; nil: one window, the rest of the text is left out.
  var stride: Int?

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
    (texts, isList) = try Self.texts(of: fields)
    guard let parameters = fields.value("parameters") else { return }
    try readParameters(try JSONFields(parameters, name: "parameters"))
  }

  static func texts(of fields: JSONFields) throws(GatewayError) -> ([String], Bool) {
    guard let value = fields.value("inputs") else { throw fields.missing("inputs") }
    switch value {
    case .string:
      return ([try JSONFields.text(value, name: "inputs", bytesMax: Limits.textBytesMax)], false)
    case .array(let items):
      try JSONFields.check(items, name: "inputs", count: 1...Limits.textsMax)
      var texts: [String] = []
      for (index, item) in items.enumerated() {
        texts.append(
          try JSONFields.text(item, name: "inputs[\(index)]", bytesMax: Limits.textBytesMax)
        )
      }
      return (texts, true)
    default: throw .type(of: "inputs", "a string or an array of strings", value)
    }
  }

  private mutating func readParameters(_ fields: JSONFields) throws(GatewayError) {
    try fields.refuseUnknown(["aggregation_strategy", "ignore_labels", "stride"])
    if let word = try fields.choice(
      "aggregation_strategy",
      of: Aggregation.allCases.map(\.rawValue)
    ) {
      aggregation = Aggregation(rawValue: word) ?? .simple
    }
    if let items = try fields.array("ignore_labels", count: 0...Limits.labelsMax) {
      ignoreLabels = []
      for (index, item) in items.enumerated() {
        ignoreLabels.append(
          try JSONFields.text(
            item,
            name: fields.name("ignore_labels[\(index)]"),
            bytesMax: Limits.labelBytesMax
          )
        )
      }
    }
    stride = try fields.integer("stride", in: 0...Int128(Int32.max)).map { Int($0) }
    if stride != nil, aggregation == .none {
      // transformers refuses this as well: tokens of overlapping windows would be reported twice.
      throw .invalid(
        fields.name("stride"),
        "invalid_parameter_combination",
        "'parameters.stride' needs an aggregation strategy: with 'none' it is not supported."
      )
    }
  }
}
