import Datasets
import ServiceAPI
import Store

extension ImportOptions {
  /// The options of a message; throws `invalidArgument` for what means nothing here.
  init(_ options: DatasetsV1.ImportOptions) throws(DataError) {
    self.init(name: options.name)
    switch options.badRows {
    case .reject: badRows = .reject
    case .skip: badRows = .skip
    default: throw Self.unknown("bad_rows", options.badRows.rawValue)
    }
    switch options.tagScheme {
    case .unspecified: tagScheme = nil
    case .iob2: tagScheme = .iob2
    case .iob1: tagScheme = .iob1
    case .iobes: tagScheme = .iobes
    case .bilou: tagScheme = .bilou
    case .plain: tagScheme = .plain
    default: throw Self.unknown("tag_scheme", options.tagScheme.rawValue)
    }
    switch options.textUnit {
    case .line: parsing.textUnit = .line
    case .paragraph: parsing.textUnit = .paragraph
    default: throw Self.unknown("text_unit", options.textUnit.rawValue)
    }
    switch options.kind {
    case .unspecified: parsing.kind = nil
    case .tokenClassification: parsing.kind = .tokenClassification
    case .sequenceClassification: parsing.kind = .sequenceClassification
    case .chat: parsing.kind = .chat
    case .text: parsing.kind = .text
    default: throw Self.unknown("kind", options.kind.rawValue)
    }
    for (name, column) in options.columns {
      guard let role = ColumnRole(rawValue: name) else {
        throw DataError(
          .invalidArgument,
          "import: column \(StoreName.quoted(name)): the roles are "
            + ColumnRole.allCases.map(\.rawValue).joined(separator: ", ")
        )
      }
      parsing.columns[role] = column
    }
    parsing.labelNames = options.labelNames
  }

  private static func unknown(_ field: String, _ value: Int32) -> DataError {
    DataError(.invalidArgument, "import: \(field) \(value) is not known here")
  }
}

extension DatasetImport {
  /// Starts the file that a message announces.
  func startFile(_ file: DatasetsV1.FileStart) throws(DataError) {
    let format: FileFormat? =
      switch file.format {
      case .unspecified: nil
      case .conll: .conll
      case .jsonl: .jsonl
      case .csv: .csv
      case .tsv: .tsv
      case .text: .text
      default:
        throw DataError(.invalidArgument, "import: format \(file.format) is not known here")
      }
    try startFile(
      name: file.name,
      format: format,
      split: file.split.isEmpty ? "train" : file.split,
      sizeBytes: file.sizeBytes
    )
  }
}

extension DatasetsV1.ImportDatasetResponse {
  /// The message of how far an import has got.
  static func progress(_ progress: ImportProgress) -> Self {
    var message = DatasetsV1.ImportProgress()
    message.bytes = progress.bytes
    message.rows = progress.rows
    message.badRows = progress.badRows
    var response = Self()
    response.part = .progress(message)
    return response
  }

  /// The message of how an import ended.
  static func result(_ outcome: DatasetImportOutcome) -> Self {
    var message = DatasetsV1.ImportResult()
    message.version = outcome.version.map { DatasetsV1.DatasetVersion($0) }
    message.isNew = outcome.isNew
    message.badRows = outcome.badRows.map { row in
      var message = DatasetsV1.BadRow()
      message.file = row.file
      message.line = row.line
      message.reason = row.reason
      return message
    }
    message.badRowsTotal = outcome.badRowsTotal
    var response = Self()
    response.part = .result(message)
    return response
  }
}

extension DatasetsV1.DatasetVersion {
  /// Labels of all splits together that are sent; more would not fit into a message.
  private static let splitLabelsMax = 16_384

  /// The message of a version; of a summary, without labels and lengths.
  init(_ version: DatasetVersion, isSummary: Bool = false) {
    self.init()
    let statistics = version.statistics
    name = version.name
    self.version = version.version
    digest = version.digest
    parent = version.parent ?? 0
    kind = .init(version.kind)
    tagScheme = .init(version.tagScheme)
    rows = statistics.rows
    tokens = statistics.tokens
    origin = version.origin
    createdAtMs = version.createdAtMilliseconds
    badRows = version.badRows
    let count = version.splits.reduce(0) { $0 + $1.statistics.labels.count }
    splits = version.splits.map { split in
      var message = DatasetsV1.Split()
      message.name = split.name
      message.rows = split.statistics.rows
      message.tokens = split.statistics.tokens
      message.bytes = split.statistics.bytes
      guard !isSummary else { return message }
      message.sha256 = split.sha256
      message.lengths = .init(split.statistics.lengths)
      guard count <= Self.splitLabelsMax else { return message }
      message.labels = Self.counts(split.statistics.labels)
      message.entities = Self.counts(split.statistics.entities)
      return message
    }
    guard !isSummary else { return }
    labels = Self.counts(statistics.labels)
    entities = Self.counts(statistics.entities)
    lengths = .init(statistics.lengths)
  }

  private static func counts(_ counts: [String: UInt64]) -> [DatasetsV1.LabelCount] {
    counts.sorted { $0.key < $1.key }.map { label, count in
      var message = DatasetsV1.LabelCount()
      message.name = label
      message.count = count
      return message
    }
  }
}

extension DatasetsV1.RowKind {
  /// The message's value of a kind.
  init(_ kind: RowKind) {
    self =
      switch kind {
      case .tokenClassification: .tokenClassification
      case .sequenceClassification: .sequenceClassification
      case .chat: .chat
      case .text: .text
      }
  }
}

extension DatasetsV1.TagScheme {
  /// The message's value of a scheme.
  init(_ scheme: TagScheme?) {
    self =
      switch scheme {
      case nil: .unspecified
      case .iob2: .iob2
      case .iob1: .iob1
      case .iobes: .iobes
      case .bilou: .bilou
      case .plain: .plain
      }
  }
}

extension DatasetsV1.Lengths {
  /// The message of a histogram.
  init(_ lengths: LengthHistogram) {
    self.init()
    min = UInt64(lengths.min)
    max = UInt64(lengths.max)
    mean = lengths.mean
    p50 = UInt64(lengths.percentile(0.5))
    p95 = UInt64(lengths.percentile(0.95))
    p99 = UInt64(lengths.percentile(0.99))
  }
}

extension DatasetsV1.DiffDatasetsResponse {
  /// The message of a difference.
  init(_ difference: DatasetDifference) {
    self.init()
    older = DatasetsV1.DatasetVersion(difference.older, isSummary: true)
    newer = DatasetsV1.DatasetVersion(difference.newer, isSummary: true)
    added = difference.added
    removed = difference.removed
    unchanged = difference.unchanged
    moved = difference.moved
    addedRows = difference.addedRows
    removedRows = difference.removedRows
    labelsAdded = difference.labelsAdded
    labelsRemoved = difference.labelsRemoved
  }
}
