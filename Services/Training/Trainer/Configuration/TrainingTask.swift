/// What a model is trained for.
package enum TrainingTask: String, Codable, Sendable, CaseIterable {
  /// A label for each word: named entities, or any other tags.
  case ner
  /// A label for each text.
  case classify
  /// The next token of conversations or plain text.
  case chat
}
