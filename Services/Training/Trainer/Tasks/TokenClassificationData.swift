internal import Tokenizers

extension TaskData {
  /// Reads the rows of token classification.
  ///
  /// The first token of each word has the word's label, other tokens have none. Labels come from
  /// the training rows; another tag elsewhere gets a label that only the scores know, and is
  /// counted.
  static func tokenClassification(
    _ input: TrainingInput,
    _ context: TaskContext
  ) throws(TrainerError) -> TaskData {
    var reader = SplitReader()
    var encoder = try WordEncoder(context.tokenizer)
    guard context.tokensMax > encoder.specialTokenCount else {
      throw TrainerError(
        .invalidConfiguration,
        "tokensMax is \(context.tokensMax), the special tokens alone take "
          + "\(encoder.specialTokenCount)"
      )
    }
    var summary = DataSummary()
    var train = try TaggedRows(input.train, .train, &reader, &encoder, context, &summary)
    let scheme = TagScheme.detect(names: train.tags.names, rows: train.tagRows)
    summary.tagScheme = scheme.rawValue
    let labels = scheme.labels(of: train.tags.names)
    try requireLabels(labels)
    var table = NameTable(labels)
    train.setLabels(scheme, &table, trained: labels.count, .train, &summary)
    var data = TaskData(train: .fixed(train.examples), labels: labels)
    data.isEntities = scheme != .plain
    if let source = input.dev {
      var dev = try TaggedRows(source, .dev, &reader, &encoder, context, &summary)
      dev.setLabels(scheme, &table, trained: labels.count, .dev, &summary)
      data.dev = dev.examples
    }
    if let source = input.test {
      var test = try TaggedRows(source, .test, &reader, &encoder, context, &summary)
      test.setLabels(scheme, &table, trained: labels.count, .test, &summary)
      data.test = test.examples
    }
    data.unseenLabels = Array(table.names.dropFirst(labels.count))
    data.summary = summary
    data.digest = reader.digest
    return data
  }
}

/// The rows of a split, encoded; their tags are still names.
private struct TaggedRows {
  /// The labels are indices of words until `setLabels`.
  private(set) var examples = ExampleSet()
  private(set) var tags = NameTable()
  private var tagIndices: [UInt32] = []
  private var tagBounds = [0]

  init(
    _ source: any RowSource,
    _ split: Split,
    _ reader: inout SplitReader,
    _ encoder: inout WordEncoder,
    _ context: TaskContext,
    _ summary: inout DataSummary
  ) throws(TrainerError) {
    let count = try reader.read(
      source,
      split,
      limit: context.rowLimit(split),
      isCancelled: context.isCancelled
    ) { row, _ in
      try append(try row.tokensRow(), split, &encoder, context, &summary)
    }
    try TaskData.requireRows(count, split)
    summary.rows[split.rawValue] = count
    summary.tokens[split.rawValue] = examples.tokenCount
  }

  private mutating func append(
    _ row: TokensRow,
    _ split: Split,
    _ encoder: inout WordEncoder,
    _ context: TaskContext,
    _ summary: inout DataSummary
  ) throws(RowReader.Problem) {
    let encoded: WordEncoder.Row
    do throws(TokenizerError) {
      encoded = try encoder.encode(row.tokens, tokensMax: context.tokensMax)
    } catch {
      throw RowReader.Problem(reason: "cannot be encoded: \(error)")
    }
    if encoded.isTruncated { summary.count(\.truncated, split) }
    summary.unlabelledWords[split.rawValue, default: 0] += encoded.missingWords
    examples.append(ids: encoded.ids, labels: encoded.firstWords)
    for tag in row.tags {
      tagIndices.append(UInt32(tags.index(of: tag)))
      guard tags.names.count <= DataLimits.labelsMax else {
        throw RowReader.Problem(reason: "has the tag number \(tags.names.count) of the split")
      }
    }
    tagBounds.append(tagIndices.count)
  }

  /// The tags of each row, as indices of names.
  var tagRows: some Sequence<ArraySlice<UInt32>> {
    (0..<examples.count).lazy.map { tagIndices[tagBounds[$0]..<tagBounds[$0 + 1]] }
  }

  /// Turns tags into labels; those from `trained` on are not the model's.
  mutating func setLabels(
    _ scheme: TagScheme,
    _ labels: inout NameTable,
    trained: Int,
    _ split: Split,
    _ summary: inout DataSummary
  ) {
    for (index, row) in tagRows.enumerated() {
      let names = scheme.iob2(row.map { tags.names[Int($0)] })
      let ids = names.map { name in
        let label = labels.index(of: name)
        if label >= trained { summary.countUnseen(name, split) }
        return UInt32(label)
      }
      examples.mapLabels(of: index) { ids[Int($0)] }
    }
    tagIndices = []
    tagBounds = [0]
  }
}
