import JSON
import Testing

@testable import Tokenizers

/// What surrounds templates: files, names, tools, reasoning and the ranges of generation blocks.
@Suite struct ChatRequestTests {
  private func json(_ text: String) throws -> JSONValue { try JSONValue.read(Array(text.utf8)) }

  private func message(_ role: String, _ content: String) throws -> JSONValue {
    try json(#"{"role": "\#(role)", "content": "\#(content)"}"#)
  }

  private func template(_ config: String, _ chat: String? = nil) throws -> ChatTemplate {
    try #require(try ChatTemplate(config: Array(config.utf8), chatTemplate: chat))
  }

  @Test func theConfigurationMayHaveSeveralTemplatesWithNames() throws {
    let chat = try template(
      """
      {"bos_token": "<s>", "chat_template": [
        {"name": "default", "template": "{{ bos_token }}plain"},
        {"name": "tool_use", "template": "{{ tools | length }} tools"},
        {"name": "rag", "template": "{{ documents | map(attribute='title') | join }}"}]}
      """
    )
    #expect(chat.names == ["default", "tool_use", "rag"])
    #expect(try chat.render(ChatRequest(messages: [])).text == "<s>plain")
    let tools = try [json(#"{"type": "function"}"#)]
    #expect(try chat.render(ChatRequest(messages: [], tools: tools)).text == "1 tools")
    let documents = try [json(#"{"title": "a"}"#), json(#"{"title": "b"}"#)]
    let request = ChatRequest(messages: [], documents: documents, templateName: "rag")
    #expect(try chat.render(request).text == "ab")
    let error = #expect(throws: TokenizerError.self) {
      try chat.render(ChatRequest(messages: [], templateName: "other"))
    }
    #expect(error?.code == .invalidArgument)
    #expect(
      error?.message == "no chat template \"other\", there are: default, tool_use, rag"
    )
  }

  @Test func templatesInFilesReplaceThoseOfTheConfiguration() throws {
    let config = #"{"eos_token": {"content": "</s>"}, "chat_template": "old"}"#
    #expect(try template(config).render(ChatRequest(messages: [])).text == "old")
    let chat = try template(config, "new{{ eos_token }}")
    #expect(try chat.render(ChatRequest(messages: [])).text == "new</s>")
    let both = try #require(
      try ChatTemplate(config: nil, chatTemplate: "a", additional: [("rag", "b")])
    )
    #expect(both.names == ["default", "rag"])
    #expect(try both.render(ChatRequest(messages: [], templateName: "rag")).text == "b")
    #expect(try ChatTemplate(config: Array("{}".utf8), chatTemplate: nil) == nil)
  }

  @Test func generationBlocksTellWhatTheAssistantSays() throws {
    let chat = try ChatTemplate(
      "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation %}"
        + "{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}"
    )
    let messages = try [
      message("user", "ü"), message("assistant", "é😀"), message("user", "x"),
      message("assistant", "ok"),
    ]
    let result = try chat.render(ChatRequest(messages: messages))
    #expect(result.text == "<user>ü<assistant>é😀<user>x<assistant>ok")
    let scalars = Array(result.text.unicodeScalars)
    let parts = result.generationRanges.map { String(scalars: scalars[$0]) }
    #expect(parts == ["é😀", "ok"])
    let bytes = Array(result.text.utf8)
    let byteParts = result.generationByteRanges.map {
      String(decoding: bytes[$0], as: UTF8.self)
    }
    #expect(byteParts == parts)
  }

  @Test func reasoningHasAllTheNamesThatTemplatesKnow() throws {
    let chat = try ChatTemplate(
      "{{ messages[0].thinking }}{{ messages[0].reasoning_content }}{{ messages[0] | length }}"
    )
    for name in ["thinking", "reasoning", "reasoning_content"] {
      let message = try json(#"{"role": "assistant", "\#(name)": "why", "content": ""}"#)
      let text = try chat.render(ChatRequest(messages: [message])).text
      #expect(text.hasPrefix("whywhy"))
    }
  }

  @Test func toolsVariablesAndTheClockReachTheTemplate() throws {
    let chat = try ChatTemplate(
      "{{ tools | tojson }} {{ enable_thinking }} {{ strftime_now('%d %b %Y') }} "
        + "{{ add_generation_prompt }} {{ documents is none }}"
    )
    var variables = JSONObject()
    _ = variables.append("enable_thinking", .boolean(false))
    let tool = try json(#"{"name": "ü", "maximum": 18446744073709551615, "x": 1.0}"#)
    let request = ChatRequest(
      messages: [],
      tools: [tool],
      addGenerationPrompt: false,
      variables: variables
    )
    let clock = TemplateClock { TemplateTime(year: 2025, month: 2, day: 3) }
    #expect(
      try chat.render(request, clock: clock).text
        == #"[{"name": "ü", "maximum": 18446744073709551615, "x": 1.0}] False 03 Feb 2025 False True"#
    )
    #expect(TemplateClock.system.now().year >= 2025)
  }
}
