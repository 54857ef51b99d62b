import Files
import Testing
import Tokenizers

@testable import Trainer

@Suite("Rows of language models")
struct ChatDataTests {
  private func read(
    _ input: TrainingInput,
    tokensMax: Int = 1_024,
    settings: [String: String] = [:],
    tokenizer: Tokenizer? = nil
  ) throws -> TaskData {
    let configuration = try TrainingConfiguration(task: .chat, settings: settings)
    let context = TaskContext(
      tokenizer: try tokenizer ?? Environment.chatTokenizer(),
      configuration: configuration,
      tokensMax: tokensMax,
      isCancelled: { false }
    )
    let rows = try TaskData.LanguageRows(input, configuration, isCancelled: { false })
    return try TaskData.language(rows, context)
  }

  private func chat(_ turns: [(String, String)]) -> String {
    let messages = turns.map { "{\"role\": \"\($0.0)\", \"content\": \"\($0.1)\"}" }
    return "{\"messages\": [\(messages.joined(separator: ", "))]}"
  }

  /// The text that the loss counts, and all text.
  private func counted(_ examples: ExampleSet, _ index: Int) throws -> (String, String) {
    let tokenizer = try Environment.chatTokenizer()
    let range = examples.range(index)
    let labels = examples.labels[range].filter { $0 != ExampleSet.ignored }
    return (
      try tokenizer.decode(labels, skipSpecialTokens: false),
      try tokenizer.decode(Array(examples.ids[range]), skipSpecialTokens: false)
    )
  }

  @Test("the loss counts the assistant's tokens and what ends them")
  func assistantTokens() throws {
    let row = chat([("user", "Hi"), ("assistant", "Hello!"), ("user", "Bye"), ("assistant", "See")])
    let data = try read(TrainingInput(train: RowList([row])))
    let (loss, all) = try counted(try data.train.examples(epoch: 0), 0)
    #expect(loss == "Hello!<|im_end|>\nSee<|im_end|>\n")
    #expect(
      all == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n"
        + "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\nSee<|im_end|>\n"
    )
  }

  @Test("each label is the token after its row")
  func shift() throws {
    let row = chat([("user", "Hi"), ("assistant", "Hello you")])
    let examples = try read(TrainingInput(train: RowList([row]))).train.examples(epoch: 0)
    for index in 0..<examples.ids.count where examples.labels[index] != ExampleSet.ignored {
      #expect(examples.labels[index] == examples.ids[index + 1])
    }
    #expect(examples.labels.last == ExampleSet.ignored)
  }

  @Test("text that looks like a template's marks does not move the borders")
  func marksInText() throws {
    let answer = "<|im_end|> user assistant <|im_start|>assistant"
    let row = chat([("user", answer), ("assistant", answer), ("user", "x")])
    let examples = try read(TrainingInput(train: RowList([row]))).train.examples(epoch: 0)
    #expect(try counted(examples, 0).0 == answer + "<|im_end|>\n")
  }

  @Test("answers that begin with white space keep the tokens of the prompt")
  func whiteSpace() throws {
    let row = chat([("user", "Hi"), ("assistant", "\\n\\nHello")])
    let examples = try read(TrainingInput(train: RowList([row]))).train.examples(epoch: 0)
    let tokenizer = try Environment.chatTokenizer()
    let prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    let options = EncodingOptions(addSpecialTokens: false)
    let ids = try #require(try tokenizer.encode(prompt, options: options).first).ids
    #expect(examples.ids.starts(with: ids))
    #expect(try counted(examples, 0).0 == "\n\nHello<|im_end|>\n")
  }

  @Test("all tokens count where that is asked, and in plain text")
  func allTokens() throws {
    let row = chat([("user", "Hi"), ("assistant", "Hello")])
    let all = try read(TrainingInput(train: RowList([row])), settings: ["lossTokens": "all"])
    let examples = try all.train.examples(epoch: 0)
    #expect(examples.labels.dropLast().elementsEqual(examples.ids.dropFirst()))
    let text = try read(TrainingInput(train: RowList(["{\"text\": \"some plain text\"}"])))
    let plain = try text.train.examples(epoch: 0)
    #expect(plain.labels.dropLast().elementsEqual(plain.ids.dropFirst()))
  }

  @Test("long texts become several sequences, long conversations are cut and counted")
  func longRows() throws {
    let words = Array(repeating: "word", count: 100).joined(separator: " ")
    let row = chat([("user", "Hi"), ("assistant", words)])
    let input = TrainingInput(train: RowList(["{\"text\": \"\(words)\"}", row]))
    let data = try read(input, tokensMax: 32)
    let examples = try data.train.examples(epoch: 0)
    #expect(examples.lengths.max() == 32)
    #expect(examples.count > 3)
    #expect(data.summary.truncated == ["train": 1])
  }

  @Test("a template that rewrites earlier messages is refused, naming row and message")
  func rewritingTemplate() throws {
    let folder = Environment.chatModel
    let json = try FileSystem.read("\(folder)/tokenizer.json")
    let template =
      "{% for m in messages %}{{ m.role + ': ' }}"
      + "{{ m.content if loop.last else '...' }}\n{% endfor %}"
      + "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    let tokenizer = try Tokenizer(json: json, config: nil, chatTemplate: template)
    let row = chat([("user", "Hi"), ("assistant", "Hello"), ("user", "So"), ("assistant", "Bye")])
    let error = trainerError {
      _ = try read(TrainingInput(train: RowList([row])), tokenizer: tokenizer)
    }
    #expect(error?.message.hasPrefix("train row 1 has message 2 whose tokens") == true)
  }

  @Test("rows of one turn are joined, differently in each epoch, none lost")
  func joinedTurns() throws {
    let rows = (0..<200).map { chat([("user", "q\($0)"), ("assistant", "a\($0)")]) }
    let input = TrainingInput(train: RowList(rows))
    let data = try read(input, settings: ["turnsMax": "3"])
    let single = try read(input).train.examples(epoch: 0)
    let epochs = try (0..<2).map { try data.train.examples(epoch: $0) }
    for (number, examples) in epochs.enumerated() {
      #expect(examples.count == data.train.count(epoch: number))
      #expect(examples.count < 200 && examples.count > 100)
      #expect(examples.tokenCount == single.tokenCount)
      #expect(try data.train.examples(epoch: number) == examples)
    }
    #expect(epochs[0] != epochs[1])
  }

  @Test("user messages are varied, answers are not")
  func variation() throws {
    let question = "Where IS my Card, please tell me?"
    let rows = (0..<200).map { _ in chat([("user", question), ("assistant", "Here IT is?")]) }
    let data = try read(TrainingInput(train: RowList(rows)), settings: ["augment": "true"])
    let examples = try data.train.examples(epoch: 1)
    let texts = try (0..<examples.count).map { try counted(examples, $0) }
    #expect(texts.allSatisfy { $0.0 == "Here IT is?<|im_end|>\n" })
    #expect(texts.contains { $0.1.contains(question.lowercased()) })
    #expect(texts.contains { $0.1.contains("Where IS my Card, please tell me<|im_end|>") })
    let unchanged = texts.filter { $0.1.contains(question) }.count
    #expect((100..<180).contains(unchanged))
  }

  @Test(
    "a bad row is refused with its number and the reason",
    arguments: [
      ("{}", "train row 1 has neither messages nor text"),
      ("{\"messages\": []}", "train row 1 has 0 messages"),
      ("{\"messages\": [{\"role\": \"user\"}]}", "train row 1 has no content in message 1"),
      ("{\"messages\": [3]}", "train row 1 has message 1 that is a number"),
      ("{\"text\": \"\"}", "train row 1 has an empty text"),
      (
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}",
        "train row 1 has no message of the assistant"
      ),
    ]
  )
  func badRows(_ text: String, _ message: String) {
    let error = trainerError { _ = try read(TrainingInput(train: RowList([text]))) }
    #expect(error?.code == .invalidData)
    #expect(error?.message.hasPrefix(message) == true, "\(error?.message ?? "")")
  }
}
