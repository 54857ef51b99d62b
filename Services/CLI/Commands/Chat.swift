import ArgumentParser

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// `llmos chat`: a conversation in the terminal.
struct Chat: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Talks to a chat model; one question, or a conversation until Ctrl-D.",
    discussion: "In a conversation, /clear forgets what was said and /exit ends it."
  )

  @OptionGroup var gateway: GatewayOptions

  @Option(help: "The model (default: the first chat model of the suite).")
  var model: String?

  @Option(help: "Text that instructs the model before the conversation.")
  var system: String?

  @Option(help: "0 answers the same every time; higher is more varied, up to 2.")
  var temperature = 0.0

  @Option(help: "The most tokens in one answer.")
  var maxTokens: Int?

  @Option(help: "Makes an answer with a temperature repeatable.")
  var seed: UInt64?

  @Argument(help: "One question; without it, a conversation.")
  var question: [String] = []

  func run() async throws {
    let client = GatewayClient(address: gateway.gateway)
    let model = try await client.model(model, for: "text-generation", kind: "chat model")
    var messages = opening
    guard question.isEmpty else {
      try await answer(question.joined(separator: " "), after: &messages, model, client)
      return
    }
    let isTerminal = isatty(0) == 1
    if isTerminal { Output.line("Talking to \(model). /clear forgets, /exit or Ctrl-D ends.") }
    while true {
      if isTerminal { Output.fragment("> ") }
      guard let line = readLine() else { break }
      switch line.trimmed {
      case "": continue
      case "/exit": return
      case "/clear": messages = opening
      case let text:
        do {
          try await answer(text, after: &messages, model, client)
        } catch let failure as GatewayClient.Failure {
          Output.line("error: \(failure)")
        }
      }
    }
    if isTerminal { Output.line("") }
  }

  private var opening: [GatewayClient.ChatMessage] {
    system.map { [.init(role: "system", content: $0)] } ?? []
  }

  /// Prints the answer as it comes; a question that fails is not kept.
  private func answer(
    _ text: String,
    after messages: inout [GatewayClient.ChatMessage],
    _ model: String,
    _ client: GatewayClient
  ) async throws {
    let asked = messages + [.init(role: "user", content: text)]
    let request = GatewayClient.ChatRequest(
      model: model,
      messages: asked,
      temperature: temperature,
      maxCompletionTokens: maxTokens,
      seed: seed
    )
    let answer = try await client.chat(request) { Output.fragment($0) }
    Output.line("")
    messages = asked + [.init(role: "assistant", content: answer)]
  }
}

extension String {
  /// Without the spaces at both ends.
  fileprivate var trimmed: String {
    let characters = drop(while: \.isWhitespace)
    guard let last = characters.lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return String(characters[...last])
  }
}
