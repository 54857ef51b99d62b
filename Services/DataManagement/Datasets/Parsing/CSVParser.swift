import JSON
import Store

/// Reads separated values (RFC 4180): a header, fields that may be quoted, quotes doubled inside, line breaks
/// allowed inside quotes.
///
/// Records end with LF or CR LF. A quote inside a field that does not start with one is taken as it is, as most
/// readers do.
struct CSVParser: FileParser {
  private enum State { case fieldStart, plain, quoted, quoteInQuoted }

  private let fileName: String
  private let delimiter: UInt8
  private let options: ParserOptions
  private let limits: DatasetLimits

  private var state = State.fieldStart
  /// A CR outside of quotes: part of a line end, if LF follows.
  private var hasCarriageReturn = false
  private var line: UInt64 = 1
  private var recordLine: UInt64 = 1
  private var bytes: [UInt8] = []
  private var fieldEnds: [Int] = []
  private var isQuotedRecord = false
  private var isTooLong = false
  private var problem: String?
  private var mark: [UInt8]? = [0xEF, 0xBB, 0xBF]
  private var layout: RecordLayout?

  init(fileName: String, delimiter: UInt8, options: ParserOptions, limits: DatasetLimits) {
    self.fileName = fileName
    self.delimiter = delimiter
    self.options = options
    self.limits = limits
  }

  mutating func consume(
    _ bytes: UnsafeRawBufferPointer,
    _ sink: ParsedItemSink
  ) throws(DataError) {
    for byte in bytes {
      if let mark {
        // Taken as content until it is complete, then dropped.
        if self.bytes.count < mark.count, byte == mark[self.bytes.count], state != .quoted {
          append(byte)
          if self.bytes.count == mark.count {
            self.bytes = []
            (state, self.mark) = (.fieldStart, nil)
          } else {
            state = .plain
          }
          continue
        }
        self.mark = nil
      }
      try take(byte, sink)
    }
  }

  mutating func finish(_ sink: ParsedItemSink) throws(DataError) {
    if state == .quoted {
      problem = "a quote is opened and never closed"
    }
    if hasCarriageReturn { hasCarriageReturn = false }
    if state != .fieldStart || !fieldEnds.isEmpty || isTooLong || !bytes.isEmpty {
      try endRecord(sink)
    }
    guard layout != nil else {
      throw DataError(.failedPrecondition, "\(fileName): it has no header")
    }
  }

  private mutating func take(_ byte: UInt8, _ sink: ParsedItemSink) throws(DataError) {
    if byte == 0x0A { line += 1 }
    if state == .quoted {
      if byte == UInt8(ascii: "\"") { state = .quoteInQuoted } else { append(byte) }
      return
    }
    if hasCarriageReturn {
      hasCarriageReturn = false
      if byte != 0x0A { appendOutside(0x0D) }
    }
    switch byte {
    case delimiter: endField()
    case 0x0A: try endRecord(sink)
    case 0x0D: hasCarriageReturn = true
    case UInt8(ascii: "\"") where state == .fieldStart:
      isQuotedRecord = true
      state = .quoted
    case UInt8(ascii: "\"") where state == .quoteInQuoted:
      append(byte)
      state = .quoted
    default: appendOutside(byte)
    }
  }

  private mutating func appendOutside(_ byte: UInt8) {
    if state == .quoteInQuoted, problem == nil {
      problem = "text after a closing quote"
    }
    if state == .fieldStart { state = .plain }
    append(byte)
  }

  private mutating func append(_ byte: UInt8) {
    guard bytes.count < limits.lineBytesMax else {
      // What follows is read for the record's end alone.
      isTooLong = true
      return
    }
    bytes.append(byte)
  }

  private mutating func endField() {
    state = .fieldStart
    guard fieldEnds.count < limits.columnsMax else {
      if problem == nil { problem = "over \(limits.columnsMax) columns" }
      return
    }
    fieldEnds.append(bytes.count)
  }

  private mutating func endRecord(_ sink: ParsedItemSink) throws(DataError) {
    endField()
    defer {
      bytes.removeAll(keepingCapacity: true)
      fieldEnds.removeAll(keepingCapacity: true)
      (isQuotedRecord, isTooLong, problem) = (false, false, nil)
      recordLine = line
    }
    if bytes.isEmpty && fieldEnds.count == 1 && !isQuotedRecord && !isTooLong { return }
    if isTooLong { problem = "longer than \(limits.lineBytesMax) bytes" }
    guard let layout else {
      self.layout = try header()
      return
    }
    let item: ParsedItem
    do throws(RowProblem) {
      if let problem { throw RowProblem(problem) }
      item = .row(try layout.row(fields: fieldEnds.count, limits: limits, text), line: recordLine)
    } catch {
      item = .bad(line: recordLine, reason: error.reason)
    }
    try sink(item)
  }

  private func text(_ field: Int) throws(RowProblem) -> String {
    try checkedText(bytes[(field == 0 ? 0 : fieldEnds[field - 1])..<fieldEnds[field]])
  }

  private func header() throws(DataError) -> RecordLayout {
    do throws(RowProblem) {
      if let problem { throw RowProblem(problem) }
      var names: [String] = []
      for field in fieldEnds.indices { names.append(try text(field)) }
      return try RecordLayout(header: names, options: options)
    } catch {
      throw DataError(.invalidArgument, "\(fileName): line \(recordLine): header: \(error.reason)")
    }
  }
}

/// Which columns of a record make its row.
struct RecordLayout {
  private enum Columns {
    case labelled(text: Int, label: Int)
    case text(Int)
    case chat(prompt: Int, completion: Int)
  }

  private let columns: Columns
  private let count: Int
  private let labelNames: [String]

  /// Throws if the header lacks a column.
  init(header: [String], options: ParserOptions) throws(RowProblem) {
    count = header.count
    labelNames = options.labelNames
    let prompt = try Self.column(.prompt, in: header, options)
    let completion = try Self.column(.completion, in: header, options)
    let text = try Self.column(.text, in: header, options)
    let label = try Self.column(.label, in: header, options)
    switch options.kind {
    case .tokenClassification:
      throw RowProblem("separated values have no tokens and tags; use CoNLL or JSONL")
    case .sequenceClassification:
      columns = .labelled(
        text: try Self.found(text, .text, header),
        label: try Self.found(label, .label, header)
      )
    case .text: columns = .text(try Self.found(text, .text, header))
    case .chat:
      columns = .chat(
        prompt: try Self.found(prompt, .prompt, header),
        completion: try Self.found(completion, .completion, header)
      )
    case nil:
      if let prompt, let completion {
        columns = .chat(prompt: prompt, completion: completion)
      } else if let label {
        columns = .labelled(text: try Self.found(text, .text, header), label: label)
      } else {
        columns = .text(try Self.found(text, .text, header))
      }
    }
  }

  private static func column(
    _ role: ColumnRole,
    in header: [String],
    _ options: ParserOptions
  ) throws(RowProblem) -> Int? {
    for name in options.names(of: role) {
      let found = header.indices.filter { header[$0].lowercased() == name.lowercased() }
      guard found.count < 2 else {
        throw RowProblem("column \(StoreName.quoted(name)) is there twice")
      }
      if let index = found.first { return index }
    }
    guard options.columns[role] == nil else { return try self.found(nil, role, header) }
    return nil
  }

  private static func found(
    _ index: Int?,
    _ role: ColumnRole,
    _ header: [String]
  ) throws(RowProblem) -> Int {
    guard let index else {
      let names = header.prefix(16).map { $0.excerpt(40) }.joined(separator: ", ")
      throw RowProblem("no column for \(role.rawValue) among \(names); name it")
    }
    return index
  }

  /// The row of a record.
  func row(
    fields: Int,
    limits: DatasetLimits,
    _ text: (Int) throws(RowProblem) -> String
  ) throws(RowProblem) -> DatasetRow {
    guard fields == count else {
      throw RowProblem("\(fields) columns, where the header has \(count)")
    }
    switch columns {
    case .text(let column): return .text(try filled(text(column), "text"))
    case .labelled(let column, let label):
      var name = try text(label)
      if let index = Int(name), labelNames.indices.contains(index) { name = labelNames[index] }
      return .labelled(text: try filled(text(column), "text"), label: name)
    case .chat(let prompt, let completion):
      return .chat([
        ChatMessage(role: "user", content: try filled(text(prompt), "prompt")),
        ChatMessage(role: "assistant", content: try filled(text(completion), "completion")),
      ])
    }
  }

  private func filled(_ text: String, _ name: String) throws(RowProblem) -> String {
    guard !text.isBlank else { throw RowProblem("\(name) is empty") }
    return text
  }
}
