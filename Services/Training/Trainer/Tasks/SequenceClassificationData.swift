internal import Tokenizers

extension TaskData {
  /// Reads the rows of sequence classification.
  ///
  /// The first token of each text has its label. Labels are the sorted names of the training rows;
  /// another name elsewhere gets a label that only the scores know, and is counted.
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
    var table = NameTable(labels)
    let order = names.names.map { UInt32(table.find($0) ?? 0) }
    for index in 0..<train.count { train.mapLabels(of: index) { order[Int($0)] } }
    var data = TaskData(train: .fixed(train), labels: labels)
    if let source = input.dev {
      data.dev = try evaluated(source, .dev, labels, &table, &reader, context, &summary)
    }
    if let source = input.test {
      data.test = try evaluated(source, .test, labels, &table, &reader, context, &summary)
    }
    data.unseenLabels = Array(table.names.dropFirst(labels.count))
    data.summary = summary
    data.digest = reader.digest
    return data
  }

  private static func evaluated(
    _ source: any RowSource,
    _ split: Split,
    _ labels: [String],
    _ table: inout NameTable,
    _ reader: inout SplitReader,
    _ context: TaskContext,
    _ summary: inout DataSummary
  ) throws(TrainerError) -> ExampleSet {
    var examples = ExampleSet()
    try read(source, split, &reader, context, &examples, &summary) {
      (name) throws(RowReader.Problem) in
      let label = table.index(of: name)
      guard label < labels.count + DataLimits.labelsMax else {
        throw RowReader.Problem(
          reason: "has one of over \(DataLimits.labelsMax) labels that train does not have"
        )
      }
      return UInt32(label)
    }
    for index in 0..<examples.count {
      let label = Int(examples.labels[examples.range(index).lowerBound])
      if label >= labels.count { summary.countUnseen(table.names[label], split) }
    }
    return examples
  }

  /// Adds the rows with the labels that `label` gives their names.
  private static func read(
    _ source: any RowSource,
    _ split: Split,
    _ reader: inout SplitReader,
    _ context: TaskContext,
    _ examples: inout ExampleSet,
    _ summary: inout DataSummary,
    label: (String) throws(RowReader.Problem) -> UInt32
  ) throws(TrainerError) {
    let options = EncodingOptions(windowTokens: context.tokensMax)
    let count = try reader.read(
      source,
      split,
      limit: context.rowLimit(split),
      isCancelled: context.isCancelled
    ) { row, _ in
      let row = try row.labelledText()
      let label = try label(row.label)
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
