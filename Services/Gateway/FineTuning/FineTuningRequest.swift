import JSON
import ServiceAPI

/// A checked request of `POST /v1/fine_tuning/jobs`: OpenAI's shape, and what this suite can beyond it under `llmos`.
struct FineTuningRequest: Sendable, Equatable {
  /// Limits of what a request may hold.
  enum Limits {
    static let nameBytesMax = 129
    static let suffixBytesMax = 40
    static let settingsMax = 64
    static let settingBytesMax = 256
  }

  /// What is learnt.
  enum Task: String, Sendable, CaseIterable {
    case ner, classify, chat
  }

  /// The model to start from; the name of the result where nothing is to start from.
  var model: String
  /// A file's id, or a dataset: `name` or `name@version`.
  var trainingFile: String
  var validationFile: String?
  /// Ends the name of the result.
  var suffix: String?
  var epochs: UInt32?
  var batchSize: UInt32?
  var learningRateMultiplier: Double?
  var seed: UInt32?
  /// nil: what the rows of the training file are for.
  var task: Task?
  /// The name of the result; nil: the model's name and the suffix.
  var resultName: String?
  /// Whether the model is made anew.
  var isFromScratch = false
  /// The trainer's own settings by name.
  var settings: [String: String] = [:]

  private static let known: Set<String> = [
    "model", "training_file", "validation_file", "suffix", "seed", "hyperparameters", "method",
    "integrations", "metadata", "llmos",
  ]

  /// Reads and checks a request's JSON.
  init(json: JSONValue) throws(GatewayError) {
    guard case .object(let object) = json else { throw .type(of: "body", "an object", json) }
    let fields = JSONFields(object: object)
    try fields.refuseUnknown(Self.known)
    model = try Self.name("model", fields)
    trainingFile = try Self.name("training_file", fields)
    if fields.value("validation_file") != nil {
      validationFile = try Self.name("validation_file", fields)
    }
    suffix = try fields.text("suffix", bytesMax: Limits.suffixBytesMax)
    if let suffix, !Self.isNamePart(suffix) {
      throw .invalid(
        "suffix",
        "invalid_value",
        "Invalid 'suffix': expected 1 to \(Limits.suffixBytesMax) of a-z 0-9 . _ -, but got "
          + "'\(suffix.quotable)' instead."
      )
    }
    seed = try fields.integer("seed", in: 0...Int128(UInt32.max)).map { UInt32($0) }
    if let integrations = fields.value("integrations"), !integrations.isEmptyArray {
      throw fields.unsupported("integrations")
    }
    if let metadata = fields.value("metadata") {
      // Nothing keeps it; a client that sends none of its own sends an empty one.
      guard case .object(let members) = metadata else {
        throw .type(of: "metadata", "an object", metadata)
      }
      guard members.count == 0 else { throw fields.unsupported("metadata") }
    }
    if let old = fields.value("hyperparameters") {
      try readHyperparameters(try JSONFields(old, name: "hyperparameters"))
    }
    if let method = fields.value("method") { try readMethod(method) }
    if let own = fields.value("llmos") { try readExtension(own) }
  }

  private mutating func readMethod(_ value: JSONValue) throws(GatewayError) {
    let fields = try JSONFields(value, name: "method")
    try fields.refuseUnknown(["type", "supervised"])
    guard try fields.choice("type", of: ["supervised"]) != nil else { throw fields.missing("type") }
    guard let supervised = fields.value("supervised") else { return }
    let method = try JSONFields(supervised, name: "method.supervised")
    try method.refuseUnknown(["hyperparameters"])
    if let values = method.value("hyperparameters") {
      try readHyperparameters(try JSONFields(values, name: "method.supervised.hyperparameters"))
    }
  }

  /// Each is a number, or "auto" for the trainer's default.
  private mutating func readHyperparameters(_ fields: JSONFields) throws(GatewayError) {
    try fields.refuseUnknown(["n_epochs", "batch_size", "learning_rate_multiplier"])
    func isAuto(_ name: String) -> Bool { fields.value(name)?.isString("auto") ?? false }
    if !isAuto("n_epochs"), let count = try fields.integer("n_epochs", in: 1...1000) {
      epochs = UInt32(count)
    }
    if !isAuto("batch_size"), let count = try fields.integer("batch_size", in: 1...4096) {
      batchSize = UInt32(count)
    }
    let multiplier = "learning_rate_multiplier"
    if !isAuto(multiplier), let factor = try fields.number(multiplier, in: 1e-6...1e6) {
      learningRateMultiplier = factor
    }
  }

  private mutating func readExtension(_ value: JSONValue) throws(GatewayError) {
    let fields = try JSONFields(value, name: "llmos")
    try fields.refuseUnknown(["task", "model", "from_scratch", "settings"])
    if let word = try fields.choice("task", of: Task.allCases.map(\.rawValue)) {
      task = Task(rawValue: word)
    }
    if let name = try fields.text("model", bytesMax: 64) {
      guard Self.isNamePart(name) else {
        throw .invalid(
          fields.name("model"),
          "invalid_value",
          "Invalid 'llmos.model': '\(name.quotable)' is not a model's name."
        )
      }
      resultName = name
    }
    isFromScratch = try fields.bool("from_scratch") ?? false
    guard let settings = fields.value("settings") else { return }
    guard case .object(let object) = settings else {
      throw .type(of: fields.name("settings"), "an object", settings)
    }
    guard object.count <= Limits.settingsMax else {
      throw .invalid(
        fields.name("settings"),
        "object_above_max_properties",
        "Invalid 'llmos.settings': at most \(Limits.settingsMax) settings are accepted."
      )
    }
    for (key, value) in object.members {
      let name = "llmos.settings.\(key.quotable)"
      guard key.utf8.count <= Limits.settingBytesMax, !key.utf8.contains(0) else {
        throw .invalid(name, "unknown_parameter", "Unknown parameter: '\(name)'.")
      }
      self.settings[key] = try Self.setting(value, name)
    }
  }

  /// A setting as the trainer reads it: numbers and truth values as they are written.
  private static func setting(
    _ value: JSONValue,
    _ name: String
  ) throws(GatewayError) -> String {
    switch value {
    case .boolean(let flag): return flag ? "true" : "false"
    case .integer(let number): return "\(number)"
    case .unsigned(let number): return "\(number)"
    case .number(let number): return "\(number)"
    default: return try JSONFields.text(value, name: name, bytesMax: Limits.settingBytesMax)
    }
  }

  private static func name(_ field: String, _ fields: JSONFields) throws(GatewayError) -> String {
    guard let name = try fields.text(field, bytesMax: Limits.nameBytesMax), !name.isEmpty else {
      throw fields.missing(field)
    }
    return name
  }

  private static func isNamePart(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
          UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }
}
