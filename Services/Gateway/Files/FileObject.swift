import ServiceAPI

/// A dataset as OpenAI's API shows a file.
///
/// A file is a dataset whose name is the file's id; all that is shown is read from it, so that the gateway keeps nothing.
enum FileObject {
  /// What ids begin with.
  static let prefix = "file-"
  /// Digits behind it.
  static let digits = 24

  /// A new file's id.
  static func freshID() -> String {
    var generator = SystemRandomNumberGenerator()
    let alphabet = Array("0123456789abcdef".utf8)
    let tail = (0..<digits).map { _ in alphabet[Int.random(in: 0..<16, using: &generator)] }
    return prefix + String(decoding: tail, as: UTF8.self)
  }

  /// Whether a dataset's name is a file's id.
  static func isID(_ name: String) -> Bool {
    name.utf8.count == prefix.utf8.count + digits && name.utf8.starts(with: prefix.utf8)
      && name.utf8.dropFirst(prefix.utf8.count).allSatisfy {
        (48...57).contains($0) || (97...102).contains($0)
      }
  }

  /// The object of a dataset.
  static func append(_ version: DatasetsV1.DatasetVersion, to json: inout JSONText) {
    json.raw(#"{"id":"#)
    json.string(version.name)
    json.raw(#","object":"file","bytes":"#)
    json.number(version.splits.reduce(0) { $0 + $1.bytes })
    json.raw(#","created_at":"#)
    json.number(version.createdAtMs / 1000)
    json.raw(#","filename":"#)
    json.string(filename(version))
    json.raw(#","purpose":"fine-tune","status":"processed","status_details":null,"rows":"#)
    json.number(version.rows)
    json.raw(#","kind":"#)
    json.string(kind(version.kind))
    json.raw("}")
  }

  /// The name the file was uploaded by: an import says it.
  private static func filename(_ version: DatasetsV1.DatasetVersion) -> String {
    let words = "import "
    return version.origin.hasPrefix(words)
      ? String(version.origin.dropFirst(words.count)) : version.name + ".jsonl"
  }

  private static func kind(_ kind: DatasetsV1.RowKind) -> String {
    switch kind {
    case .tokenClassification: "token-classification"
    case .sequenceClassification: "sequence-classification"
    case .chat: "chat"
    case .text: "text"
    default: "unknown"
    }
  }
}
