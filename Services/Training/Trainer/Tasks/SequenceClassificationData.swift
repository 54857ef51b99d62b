internal import Tokenizers

extension TaskData {
  /// Reads the rows of sequence classification.
  ///
  /// The first token of each text has its label. Labels are the sorted names of the training rows;
  /// a row elsewhere with another label is left out and counted.
  static func sequenceClassification(
    _ input: TrainingInput,
    _ context: TaskContext
  ) throws(TrainerError) -> TaskData {
    var reader = SplitReader()
    var summary = DataSummary()
    var names = NameTable()
    var train = ExampleSet()
    try read(input.train, .train, &reader, context, &train, &summary) { name in
      UInt32(names.index(of: name))
    }
    let labels = names.sorted
    try requireLabels(labels)
    let table = NameTable(labels)
    let order = names.names.map { UInt32(table.find($0) ?? 0) }
    for index in 0..<train.count { train.mapLabels(of: index) { order[Int($0)] } }
    var data = TaskData(train: .fixed(train), labels: labels)
    if let source = input.dev {
      data.dev = try evaluated(source, .dev, table, &reader, context, &summary)
    }
    if let source = input.test {
      data.test = try evaluated(source, .test, table, &reader, context, &summary)
    }
    data.summary = summary
    data.digest = reader.digest
    return data
  }

  private static func evaluated(
    _ source: any RowSource,
    _ split: Split,
    _ labels: NameTable,
    _ reader: inout SplitReader,
    _ context: TaskContext,
    _ summary: inout DataSummary
  ) throws(TrainerError) -> ExampleSet {
    var examples = ExampleSet()
    var unseen: [String] = []
    try read(source, split, &reader, context, &examples, &summary) { name in
      if let label = labels.find(name) { return UInt32(label) }
      unseen.append(name)
      return nil
    }
    for name in unseen { summary.countUnseen(name, split) }
    try requireRows(examples.count, split)
    return examples
  }

  /// Adds the rows whose name `label` knows.
  private static func read(
    _ source: any RowSource,
    _ split: Split,
    _ reader: inout SplitReader,
    _ context: TaskContext,
    _ examples: inout ExampleSet,
    _ summary: inout DataSummary,
    label: (String) -> UInt32?
  ) throws(TrainerError) {
    let options = EncodingOptions(windowTokens: context.tokensMax)
    let count = try reader.read(
      source,
      split,
      limit: context.rowLimit(split),
      isCancelled: context.isCancelled
    ) { row, _ in
      let row = try row.labelledText()
      guard let label = label(row.label) else { return }
      let encoded: EncodedText
      do throws(TokenizerError) {
        encoded = try context.tokenizer.encodeText(row.text, options: options)
      } catch {
        throw RowReader.Problem(reason: "cannot be encoded: \(error)")
      }
      guard let ids = encoded.windows.first?.ids, !ids.isEmpty else {
        throw RowReader.Problem(reason: "has a text without tokens")
      }
      if encoded.tokenCount > ids.count { summary.count(\.truncated, split) }
      var labels = [UInt32](repeating: ExampleSet.ignored, count: ids.count)
      labels[0] = label
      examples.append(ids: ids, labels: labels)
    }
    try requireRows(count, split)
    summary.rows[split.rawValue] = count
    summary.tokens[split.rawValue] = examples.tokenCount
  }
}
