import JSON
import Store

/// Reads files of one token a line: columns separated by tabs or else by spaces, a blank line between
/// sentences, `-DOCSTART-` lines passed over.
struct CoNLLParser: LineParser {
  private let limits: DatasetLimits
  private let tokenColumn: Int
  private let tagColumn: Int
  private let labelNames: [String]
  var lines: LineReader
  private var columnCount: Int?

  private var tokens: [String] = []
  private var tags: [String] = []
  private var rowBytes = 0
  private var rowLine: UInt64 = 0
  private var problem: (line: UInt64, reason: String)?

  init(fileName: String, options: ParserOptions, limits: DatasetLimits) throws(DataError) {
    self.limits = limits
    labelNames = options.labelNames
    lines = LineReader(bytesMax: limits.lineBytesMax)
    tokenColumn = try Self.column(options.columns[.tokens] ?? "0", .tokens, fileName)
    tagColumn = try Self.column(options.columns[.tags] ?? "-1", .tags, fileName)
  }

  private static func column(
    _ text: String,
    _ role: ColumnRole,
    _ fileName: String
  ) throws(DataError) -> Int {
    guard let column = Int(text) else {
      throw DataError(
        .invalidArgument,
        "\(fileName): column \(role.rawValue)=\(StoreName.quoted(text)): the columns of CoNLL files are "
          + "numbers from 0, or from the end: -1 is the last one"
      )
    }
    return column
  }

  mutating func end(_ sink: ParsedItemSink) throws(DataError) { try endRow(sink) }

  mutating func take(
    _ line: LineReader.Line,
    _ number: UInt64,
    _ sink: ParsedItemSink
  ) throws(DataError) {
    guard case .bytes(let bytes) = line else {
      start(number)
      fail(number, "longer than \(limits.lineBytesMax) bytes")
      return
    }
    let isBlank = bytes.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
    if isBlank { return try endRow(sink) }
    if bytes.starts(with: "-DOCSTART-".utf8) { return try endRow(sink) }
    start(number)
    do throws(RowProblem) {
      try takeToken(bytes)
    } catch {
      fail(number, error.reason)
    }
  }

  private mutating func start(_ number: UInt64) {
    if rowLine == 0 { rowLine = number }
  }

  private mutating func fail(_ line: UInt64, _ reason: String) {
    if problem == nil { problem = (line, reason) }
    // The rest of the row is read for its end alone.
    tokens.removeAll(keepingCapacity: true)
    tags.removeAll(keepingCapacity: true)
  }

  private mutating func takeToken(_ bytes: UnsafeRawBufferPointer) throws(RowProblem) {
    guard problem == nil else { return }
    let fields = Self.fields(of: bytes, max: limits.columnsMax)
    guard fields.count > 1 else {
      throw RowProblem("one column; a token and a tag are needed")
    }
    guard fields.count <= limits.columnsMax else {
      throw RowProblem("more than \(limits.columnsMax) columns")
    }
    let expected = columnCount ?? fields.count
    guard fields.count == expected else {
      throw RowProblem("\(fields.count) columns, where the lines before have \(expected)")
    }
    columnCount = expected
    let token = try checkedText(field(tokenColumn, of: fields))
    var tag = try checkedText(field(tagColumn, of: fields))
    guard !token.isEmpty else { throw RowProblem("the token is empty") }
    if !labelNames.isEmpty, let index = Int(tag), labelNames.indices.contains(index) {
      tag = labelNames[index]
    }
    rowBytes += token.utf8.count + tag.utf8.count
    guard rowBytes <= limits.rowBytesMax, tokens.count < limits.rowItemsMax else {
      throw RowProblem(
        "the sentence has over \(limits.rowBytesMax) bytes or \(limits.rowItemsMax) tokens"
      )
    }
    tokens.append(token)
    tags.append(tag)
  }

  private func field(
    _ column: Int,
    of fields: [UnsafeRawBufferPointer]
  ) throws(RowProblem) -> UnsafeRawBufferPointer {
    let index = column < 0 ? fields.count + column : column
    guard fields.indices.contains(index) else {
      throw RowProblem("\(fields.count) columns, none numbered \(column)")
    }
    return fields[index]
  }

  /// At most one field more than `max`.
  private static func fields(
    of bytes: UnsafeRawBufferPointer,
    max: Int
  ) -> [UnsafeRawBufferPointer] {
    var end = bytes.endIndex
    while end > 0, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
    let line = bytes[..<end]
    let isTabbed = line.contains(0x09)
    let parts = line.split(
      separator: isTabbed ? 0x09 : 0x20,
      maxSplits: max,
      omittingEmptySubsequences: !isTabbed
    )
    return parts.map { UnsafeRawBufferPointer(rebasing: $0) }
  }

  private mutating func endRow(_ sink: ParsedItemSink) throws(DataError) {
    guard rowLine > 0 else { return }
    let item: ParsedItem =
      if let problem {
        .bad(line: problem.line, reason: problem.reason)
      } else {
        .row(.tokens(tokens, tags: tags), line: rowLine)
      }
    tokens = []
    tags = []
    (rowBytes, rowLine, problem) = (0, 0, nil)
    try sink(item)
  }
}
