import ServiceAPI

/// Writes answers of `POST /v1/classify` in the shape and field order of transformers' pipeline.
enum ClassifyResponse {
  /// A list of labels for one text, a list of lists for several.
  static func json(_ texts: [[InferenceV1.LabelScore]], isList: Bool) -> [UInt8] {
    var json = JSONText(capacity: 1024)
    if isList { json.raw("[") }
    for (index, labels) in texts.enumerated() {
      if index > 0 { json.raw(",") }
      append(labels, to: &json)
    }
    if isList { json.raw("]") }
    return json.bytes
  }

  private static func append(_ labels: [InferenceV1.LabelScore], to json: inout JSONText) {
    json.raw("[")
    for (index, label) in labels.enumerated() {
      if index > 0 { json.raw(",") }
      json.raw(#"{"label":"#)
      json.string(label.label)
      json.raw(#","score":"#)
      // As Python prints a float32: the digits of the equal double.
      json.number(Double(label.score))
      json.raw("}")
    }
    json.raw("]")
  }
}
