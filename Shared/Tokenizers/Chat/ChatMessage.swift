package import JSON

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

/// What a chat template is rendered with.
package struct ChatRequest: Sendable {
  /// The conversation: objects with `role`, `content` and whatever else the template reads, for
  /// example `tool_calls`.
  package var messages: [JSONValue]
  /// Descriptions of functions that the model may call (JSON schemas); nil if there are none.
  package var tools: [JSONValue]?
  /// Documents that the model may cite; nil if there are none.
  package var documents: [JSONValue]?
  /// Whether the prompt opens the assistant's turn in the end.
  package var addGenerationPrompt: Bool
  /// Which of several templates is rendered; nil for `tool_use` if there are tools and such a
  /// template, else `default`.
  package var templateName: String?
  /// Other variables that the template reads, for example `enable_thinking`.
  package var variables: JSONObject

  /// Creates a request.
  package init(
    messages: [JSONValue],
    tools: [JSONValue]? = nil,
    documents: [JSONValue]? = nil,
    addGenerationPrompt: Bool = true,
    templateName: String? = nil,
    variables: JSONObject = JSONObject()
  ) {
    self.messages = messages
    self.tools = tools
    self.documents = documents
    self.addGenerationPrompt = addGenerationPrompt
    self.templateName = templateName
    self.variables = variables
  }
}

/// A rendered conversation.
package struct RenderedChat: Sendable, Equatable {
  /// The prompt; it includes special tokens.
  package var text: String
  /// What the template's `generation` blocks rendered: ranges of Unicode scalars of `text`, in the
  /// order in which the blocks ended, as transformers reports them.
  package var generationRanges: [Range<Int>]

  /// The same ranges in bytes of UTF-8, cut to the text, for comparison with offsets of tokens.
  package var generationByteRanges: [Range<Int>] {
    if generationRanges.isEmpty { return [] }
    var starts: [Int] = []
    for (index, byte) in text.utf8.enumerated() where byte & 0xC0 != 0x80 { starts.append(index) }
    starts.append(text.utf8.count)
    func byte(_ scalar: Int) -> Int { starts[min(scalar, starts.count - 1)] }
    return generationRanges.map { byte($0.lowerBound)..<byte($0.upperBound) }
  }
}
