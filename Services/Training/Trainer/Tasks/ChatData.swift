internal import Tokenizers

extension TaskData {
  /// The rows of a language model as they are read, before there is a tokenizer.
  struct LanguageRows {
    var train: [LanguageRow] = []
    var dev: [LanguageRow]?
    var test: [LanguageRow]?
    var digest = ""

    /// Reads all splits.
    /// - Throws: `invalidData`, naming split and row; `cancelled`.
    init(
      _ input: TrainingInput,
      _ configuration: TrainingConfiguration,
      isCancelled: () -> Bool
    ) throws(TrainerError) {
      var reader = SplitReader()
      train = try Self.read(input.train, .train, .max, &reader, isCancelled)
      if let source = input.dev {
        let limit = configuration.devRowsMax > 0 ? configuration.devRowsMax : .max
        dev = try Self.read(source, .dev, limit, &reader, isCancelled)
      }
      if let source = input.test {
        test = try Self.read(source, .test, .max, &reader, isCancelled)
      }
      digest = reader.digest
    }

    private static func read(
      _ source: any RowSource,
      _ split: Split,
      _ limit: Int,
      _ reader: inout SplitReader,
      _ isCancelled: () -> Bool
    ) throws(TrainerError) -> [LanguageRow] {
      var rows: [LanguageRow] = []
      _ = try reader.read(
        source,
        split,
        limit: min(limit, DataLimits.rowsMax),
        isCancelled: isCancelled
      ) { row, _ in rows.append(try row.languageRow()) }
      try requireRows(rows.count, split)
      return rows
    }
  }

  /// Encodes the rows of a language model.
  static func language(
    _ rows: LanguageRows,
    _ context: TaskContext
  ) throws(TrainerError) -> TaskData {
    let configuration = context.configuration
    let encoder = ConversationEncoder(
      tokenizer: context.tokenizer,
      tokensMax: context.tokensMax,
      lossTokens: configuration.lossTokens
    )
    let conversations = try Conversations(rows.train, encoder, configuration)
    var summary = DataSummary()
    // The first epoch is encoded in any case: a row that cannot be is reported now.
    let (first, truncated) = try conversations.examples(epoch: 0)
    summary.rows[Split.train.rawValue] = rows.train.count
    summary.tokens[Split.train.rawValue] = first.tokenCount
    if truncated > 0 { summary.truncated[Split.train.rawValue] = truncated }
    guard first.labels.contains(where: { $0 != ExampleSet.ignored }) else {
      throw TrainerError(
        .invalidData,
        "train has no token that the loss counts within tokensMax, \(context.tokensMax)"
      )
    }
    let isVaried = configuration.augment || configuration.turnsMax > 1
    var data = TaskData(train: isVaried ? .varied(conversations) : .fixed(first))
    if let dev = rows.dev { data.dev = try evaluated(dev, .dev, encoder, &summary) }
    if let test = rows.test { data.test = try evaluated(test, .test, encoder, &summary) }
    data.summary = summary
    data.digest = rows.digest
    return data
  }

  private static func evaluated(
    _ rows: [LanguageRow],
    _ split: Split,
    _ encoder: ConversationEncoder,
    _ summary: inout DataSummary
  ) throws(TrainerError) -> ExampleSet {
    var examples = ExampleSet()
    for (index, row) in rows.enumerated() {
      do throws(RowReader.Problem) {
        let encoded: [ConversationEncoder.Encoded] =
          switch row {
          case .text(let text): try encoder.encode(text: text)
          case .conversation(let messages): [try encoder.encode(messages)]
          }
        for sequence in encoded where !sequence.ids.isEmpty {
          examples.append(ids: sequence.ids, labels: sequence.labels)
          if sequence.isTruncated { summary.count(\.truncated, split) }
        }
      } catch {
        throw TrainerError(.invalidData, "\(split.rawValue) row \(index + 1) \(error.reason)")
      }
    }
    guard examples.count > 0 else {
      throw TrainerError(
        .invalidData,
        "the \(split.rawValue) split has \(rows.count) rows, none of them with a token"
      )
    }
    summary.rows[split.rawValue] = rows.count
    summary.tokens[split.rawValue] = examples.tokenCount
    return examples
  }
}
