/// An entity as `POST /v1/ner` answers it.
struct NEREntity: Sendable, Equatable {
  var label: String
  var score: Float
  /// The token's index in its window; only without aggregation.
  var index: UInt32?
  var word: String
  /// Character offsets (Unicode scalars), `start..<end`.
  var start: UInt32
  var end: UInt32
}

/// Writes answers of `POST /v1/ner` in the shape and field order of transformers' pipeline.
enum NERResponse {
  /// A list of entities for one text, a list of lists for several.
  static func json(_ texts: [[NEREntity]], isList: Bool) -> [UInt8] {
    var json = JSONText(capacity: 1024)
    if isList { json.raw("[") }
    for (index, entities) in texts.enumerated() {
      if index > 0 { json.raw(",") }
      append(entities, to: &json)
    }
    if isList { json.raw("]") }
    return json.bytes
  }

  private static func append(_ entities: [NEREntity], to json: inout JSONText) {
    json.raw("[")
    for (index, entity) in entities.enumerated() {
      if index > 0 { json.raw(",") }
      json.raw(entity.index == nil ? #"{"entity_group":"# : #"{"entity":"#)
      json.string(entity.label)
      json.raw(#","score":"#)
      // As Python prints a float32: the digits of the equal double.
      json.number(Double(entity.score))
      if let index = entity.index {
        json.raw(#","index":"#)
        json.number(index)
      }
      json.raw(#","word":"#)
      json.string(entity.word)
      json.raw(#","start":"#)
      json.number(entity.start)
      json.raw(#","end":"#)
      json.number(entity.end)
      json.raw("}")
    }
    json.raw("]")
  }
}
