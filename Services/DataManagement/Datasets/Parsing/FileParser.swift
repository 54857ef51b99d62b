import Store

/// The formats of files that can be imported.
package enum FileFormat: String, Sendable, CaseIterable {
  /// One token a line, `token … tag`, blank lines between sentences.
  case conll
  /// One JSON object a line.
  case jsonl
  /// Comma-separated values with a header (RFC 4180).
  case csv
  /// As CSV, with tabs.
  case tsv
  /// Plain text.
  case text

  /// The format that a file's name stands for; nil if it stands for none.
  package init?(fileName: String) {
    let parts = fileName.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count > 1 else { return nil }
    switch parts[parts.count - 1].lowercased() {
    case "conll", "bio", "iob", "iob2", "iobes": self = .conll
    case "jsonl", "ndjson", "json": self = .jsonl
    case "csv": self = .csv
    case "tsv": self = .tsv
    case "txt", "text": self = .text
    default: return nil
    }
  }
}

/// What makes one row of a plain text.
package enum TextUnit: String, Sendable, CaseIterable {
  /// Every line that is not blank.
  case line
  /// Lines up to a blank one.
  case paragraph
}

/// What a column or key holds.
package enum ColumnRole: String, Sendable, CaseIterable {
  case text, label, tokens, tags, messages, prompt, completion

  /// The names under which it is found when none is given.
  var usualNames: [String] {
    switch self {
    case .text: ["text", "sentence", "query", "utterance"]
    case .label: ["label", "category", "intent", "class"]
    case .tokens: ["tokens", "words"]
    case .tags: ["tags", "ner_tags"]
    case .messages: ["messages", "conversations"]
    case .prompt: ["prompt"]
    case .completion: ["completion"]
    }
  }
}

/// How to read files.
package struct ParserOptions: Sendable {
  /// Columns or keys that are called otherwise than usual.
  package var columns: [ColumnRole: String] = [:]
  /// What makes one row of a plain text.
  package var textUnit = TextUnit.line
  /// The names of numeric tags and labels.
  package var labelNames: [String] = []
  /// What the rows have to be; nil: what they are.
  package var kind: RowKind?

  /// The defaults.
  package init() {}

  /// The names under which a role is looked for.
  func names(of role: ColumnRole) -> [String] { columns[role].map { [$0] } ?? role.usualNames }
}

/// What a parser finds.
enum ParsedItem {
  /// A row that starts on a line.
  case row(DatasetRow, line: UInt64)
  /// A row that cannot be used, the line at fault, and why.
  case bad(line: UInt64, reason: String)
}

/// Takes what a parser finds.
typealias ParsedItemSink = (ParsedItem) throws(DataError) -> Void

/// Reads the bytes of one file, in pieces of any size, in constant memory.
protocol FileParser {
  /// Reads a piece. Throws what makes the whole file unusable, and what the sink throws.
  mutating func consume(_ bytes: UnsafeRawBufferPointer, _ sink: ParsedItemSink) throws(DataError)
  /// Reads the end of the file.
  mutating func finish(_ sink: ParsedItemSink) throws(DataError)
}

/// A parser of files whose lines are read one by one.
protocol LineParser: FileParser {
  /// What cuts the lines.
  var lines: LineReader { get set }
  /// Reads a line.
  mutating func take(
    _ line: LineReader.Line,
    _ number: UInt64,
    _ sink: ParsedItemSink
  ) throws(DataError)
  /// Ends what the last line left open.
  mutating func end(_ sink: ParsedItemSink) throws(DataError)
}

extension LineParser {
  mutating func consume(
    _ bytes: UnsafeRawBufferPointer,
    _ sink: ParsedItemSink
  ) throws(DataError) {
    // Taken out: the lines' handler changes the rest of the parser.
    var reader = LineReader(bytesMax: 0)
    swap(&reader, &lines)
    defer { lines = reader }
    try reader.consume(bytes) { (line, number) throws(DataError) in
      try take(line, number, sink)
    }
  }

  mutating func finish(_ sink: ParsedItemSink) throws(DataError) {
    var reader = lines
    try reader.finish { (line, number) throws(DataError) in try take(line, number, sink) }
    try end(sink)
  }

  mutating func end(_ sink: ParsedItemSink) throws(DataError) {}
}

/// Why a row cannot be used.
struct RowProblem: Error {
  let reason: String

  init(_ reason: String) { self.reason = reason }
}

extension FileFormat {
  /// A parser of a file in this format.
  func parser(
    fileName: String,
    options: ParserOptions,
    limits: DatasetLimits
  ) throws(DataError) -> any FileParser {
    switch self {
    case .conll: try CoNLLParser(fileName: fileName, options: options, limits: limits)
    case .jsonl: JSONLParser(options: options, limits: limits)
    case .csv:
      CSVParser(
        fileName: fileName,
        delimiter: UInt8(ascii: ","),
        options: options,
        limits: limits
      )
    case .tsv:
      CSVParser(
        fileName: fileName,
        delimiter: UInt8(ascii: "\t"),
        options: options,
        limits: limits
      )
    case .text: TextParser(unit: options.textUnit, limits: limits)
    }
  }
}
