internal import Tokenizers

/// Encodes conversations and texts as the rows of a causal language model.
///
/// The label of a row is the token after it where the loss counts that token.
struct ConversationEncoder: Sendable {
  let tokenizer: Tokenizer
  let tokensMax: Int
  let lossTokens: TrainingConfiguration.LossTokens

  /// The tokens of one sequence, and those that the loss counts.
  struct Encoded {
    var ids: [UInt32] = []
    var isCounted: [Bool] = []
    var isTruncated = false

    /// The label of each row: the next token, where it counts.
    var labels: [UInt32] {
      ids.indices.map { index in
        index + 1 < ids.count && isCounted[index + 1] ? ids[index + 1] : ExampleSet.ignored
      }
    }
  }

  /// The tokens of a conversation rendered with the model's chat template.
  ///
  /// An assistant's message is what the template adds between the prompt that asks for it
  /// (`add_generation_prompt`) and the conversation that ends with it: its text and the token that
  /// ends it. The parts are encoded one by one, so that no token reaches over a border and the
  /// model is trained on the tokens that it will be asked with.
  func encode(_ messages: [Message]) throws(RowReader.Problem) -> Encoded {
    let chat = messages.map { ChatMessage(role: $0.role, content: $0.content) }
    let whole = Array(try render(chat[...], prompts: false).utf8)
    var encoded = Encoded()
    var end = 0
    for (index, message) in messages.enumerated() where message.role == "assistant" {
      let prompt = Array(try render(chat[..<index], prompts: true).utf8)
      let answered = Array(try render(chat[...index], prompts: false).utf8)
      guard answered.starts(with: prompt), whole.starts(with: answered), prompt.count >= end,
        answered.count > prompt.count
      else {
        throw RowReader.Problem(
          reason: "has message \(index + 1) whose tokens cannot be told: the chat template writes "
            + "it differently when more messages follow, or without its generation prompt"
        )
      }
      try append(whole[end..<prompt.count], isCounted: lossTokens == .all, to: &encoded)
      try append(whole[prompt.count..<answered.count], isCounted: true, to: &encoded)
      end = answered.count
    }
    switch lossTokens {
    case .all: try append(whole[end...], isCounted: true, to: &encoded)
    case .assistant:
      // What follows the last answer teaches nothing.
      guard end > 0 else { throw RowReader.Problem(reason: "has no message of the assistant") }
    }
    return cut(encoded)
  }

  private func render(
    _ messages: ArraySlice<ChatMessage>,
    prompts: Bool
  ) throws(RowReader.Problem) -> String {
    do throws(TokenizerError) {
      return try tokenizer.renderChat(Array(messages), addGenerationPrompt: prompts)
    } catch {
      throw RowReader.Problem(reason: "cannot be rendered: \(error)")
    }
  }

  private func append(
    _ text: ArraySlice<UInt8>,
    isCounted: Bool,
    to encoded: inout Encoded
  ) throws(RowReader.Problem) {
    guard !text.isEmpty else { return }
    let ids: [UInt32]
    do throws(TokenizerError) {
      let options = EncodingOptions(addSpecialTokens: false)
      let text = String(decoding: text, as: UTF8.self)
      ids = try tokenizer.encode(text, options: options).first?.ids ?? []
    } catch {
      throw RowReader.Problem(reason: "cannot be encoded: \(error)")
    }
    encoded.ids += ids
    encoded.isCounted += [Bool](repeating: isCounted, count: ids.count)
  }

  private func cut(_ encoded: Encoded) -> Encoded {
    guard encoded.ids.count > tokensMax else { return encoded }
    return Encoded(
      ids: Array(encoded.ids[..<tokensMax]),
      isCounted: Array(encoded.isCounted[..<tokensMax]),
      isTruncated: true
    )
  }

  /// The tokens of a text, in windows of at most `tokensMax`; all count.
  func encode(text: String) throws(RowReader.Problem) -> [Encoded] {
    do throws(TokenizerError) {
      let options = EncodingOptions(windowTokens: tokensMax, overflow: true)
      return try tokenizer.encode(text, options: options).filter { $0.count > 0 }.map { window in
        Encoded(ids: window.ids, isCounted: window.ids.map { _ in true })
      }
    } catch {
      throw RowReader.Problem(reason: "cannot be encoded: \(error)")
    }
  }
}
