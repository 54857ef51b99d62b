/// One message of a conversation.
package struct ChatMessage: Sendable, Equatable {
  /// Who speaks: "system", "user" or "assistant", as the model's template knows them.
  package var role: String
  /// What is said.
  package var content: String

  /// Creates a message.
  package init(role: String, content: String) {
    self.role = role
    self.content = content
  }
}

/// What a model's files say about its chat format.
struct ChatTemplateSource: Sendable {
  init?(config: [UInt8]?, chatTemplate: String?) throws(TokenizerError) { return nil }
}

extension Tokenizer {
  /// Renders a conversation to the prompt that the model was trained on.
  ///
  /// It includes special tokens: encode it without adding any. `addGenerationPrompt` opens the assistant's turn in the end.
  package func renderChat(
    _ messages: [ChatMessage],
    addGenerationPrompt: Bool = true
  ) throws(TokenizerError) -> String {
    throw TokenizerError(.unsupported, "chat templates are not there yet")
  }
}
