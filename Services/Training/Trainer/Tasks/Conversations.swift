/// Training rows of a language model, from which each epoch makes other sequences: user messages
/// are varied, and rows of one turn are joined to conversations.
struct Conversations: Sendable {
  private let rows: [LanguageRow]
  private let encoder: ConversationEncoder
  private let configuration: TrainingConfiguration
  /// The rows that are conversations.
  private let indices: [Int]
  /// The rows that are texts, which do not vary.
  private let texts: ExampleSet

  /// Bytes of the rows' text and what holds it.
  let byteCount: Int

  /// Conversations of several turns, where they are made.
  private static let joinedFraction = 0.25

  /// Encodes the texts.
  /// - Throws: `invalidData`, naming a row.
  init(
    _ rows: [LanguageRow],
    _ encoder: ConversationEncoder,
    _ configuration: TrainingConfiguration
  ) throws(TrainerError) {
    self.rows = rows
    self.encoder = encoder
    self.configuration = configuration
    indices = rows.indices.filter { if case .conversation = rows[$0] { true } else { false } }
    var texts = ExampleSet()
    for (index, row) in rows.enumerated() {
      guard case .text(let text) = row else { continue }
      do throws(RowReader.Problem) {
        for window in try encoder.encode(text: text) {
          texts.append(ids: window.ids, labels: window.labels)
        }
      } catch {
        throw TrainerError(.invalidData, "train row \(index + 1) \(error.reason)")
      }
    }
    self.texts = texts
    byteCount = rows.reduce(texts.byteCount) { $0 + $1.byteCount }
  }

  /// The number of sequences of `epoch`.
  func count(epoch: Int) -> Int { groups(epoch: epoch).count + texts.count }

  /// The rows of each conversation of `epoch`.
  private func groups(epoch: Int) -> [ArraySlice<Int>] {
    guard configuration.turnsMax > 1 else { return indices.indices.map { indices[$0...$0] } }
    var random = RandomStream(seed: configuration.seed, .conversations, UInt64(epoch))
    var single = indices.filter { rows[$0].isSingleTurn }
    random.shuffle(&single)
    let others = indices.filter { !rows[$0].isSingleTurn }
    var groups = others.indices.map { others[$0...$0] }
    var start = 0
    while start < single.count {
      let isJoined = random.nextUnit() < Self.joinedFraction
      let size = isJoined ? 2 + random.next(below: configuration.turnsMax - 1) : 1
      let end = min(start + size, single.count)
      groups.append(single[start..<end])
      start = end
    }
    return groups
  }

  /// The sequences of `epoch`, and how many were cut.
  /// - Throws: `invalidData`, naming rows.
  func examples(
    epoch: Int
  ) throws(TrainerError) -> (examples: ExampleSet, truncated: Int) {
    var random = RandomStream(seed: configuration.seed, .variation, UInt64(epoch))
    var examples = texts
    var truncated = 0
    for group in groups(epoch: epoch) {
      var messages: [Message] = []
      for index in group {
        guard case .conversation(let turns) = rows[index] else { continue }
        messages += configuration.augment ? turns.map { $0.varied(&random) } : turns
      }
      do throws(RowReader.Problem) {
        let encoded = try encoder.encode(messages)
        guard !encoded.ids.isEmpty else { throw RowReader.Problem(reason: "has no tokens") }
        examples.append(ids: encoded.ids, labels: encoded.labels)
        truncated += encoded.isTruncated ? 1 : 0
      } catch {
        let numbers = group.map { String($0 + 1) }.joined(separator: ", ")
        throw TrainerError(.invalidData, "train row \(numbers) \(error.reason)")
      }
    }
    return (examples, truncated)
  }
}

extension LanguageRow {
  /// Whether the row is a question and its answer.
  var isSingleTurn: Bool {
    guard case .conversation(let messages) = self else { return false }
    return messages.map(\.role) == ["user", "assistant"]
  }

  fileprivate var byteCount: Int {
    switch self {
    case .text(let text): 48 + text.utf8.count
    case .conversation(let messages):
      messages.reduce(48) { $0 + 64 + $1.content.utf8.count + $1.role.utf8.count }
    }
  }
}

extension Message {
  /// A user's message as another person might have typed it; other messages stay.
  ///
  /// 15% in lower case, 10% without the punctuation in the end, 10% of those with over four words
  /// without one of them.
  func varied(_ random: inout RandomStream) -> Message {
    guard role == "user" else { return self }
    var text = content
    let kind = random.nextUnit()
    if kind < 0.15 {
      text = text.lowercased()
    } else if kind < 0.25 {
      while let last = text.last, "?.! ".contains(last) { text.removeLast() }
    }
    if random.nextUnit() < 0.1 {
      var words = text.split(whereSeparator: \.isWhitespace)
      if words.count > 4 {
        words.remove(at: random.next(below: words.count))
        text = words.joined(separator: " ")
      }
    }
    return Message(role: role, content: text)
  }
}
