import Store

/// Reads plain text: a row for each line that is not blank, or for each paragraph.
struct TextParser: LineParser {
  private let unit: TextUnit
  private let limits: DatasetLimits
  var lines: LineReader
  private var paragraph = ""
  private var paragraphLine: UInt64 = 0
  private var problem: (line: UInt64, reason: String)?

  init(unit: TextUnit, limits: DatasetLimits) {
    self.unit = unit
    self.limits = limits
    lines = LineReader(bytesMax: limits.lineBytesMax)
  }

  mutating func end(_ sink: ParsedItemSink) throws(DataError) { try endParagraph(sink) }

  mutating func take(
    _ line: LineReader.Line,
    _ number: UInt64,
    _ sink: ParsedItemSink
  ) throws(DataError) {
    switch text(of: line) {
    case .success(let text) where text.isBlank:
      try endParagraph(sink)
      return
    case .success(let text):
      if paragraphLine == 0 { paragraphLine = number }
      if problem == nil { append(text, number) }
    case .failure(let found):
      if paragraphLine == 0 { paragraphLine = number }
      fail(number, found.reason)
    }
    if unit == .line { try endParagraph(sink) }
  }

  private func text(of line: LineReader.Line) -> Result<String, RowProblem> {
    guard case .bytes(let bytes) = line else {
      return .failure(RowProblem("longer than \(limits.lineBytesMax) bytes"))
    }
    return Result { () throws(RowProblem) in try checkedText(bytes) }
  }

  private mutating func append(_ text: String, _ number: UInt64) {
    guard paragraph.utf8.count + text.utf8.count < limits.rowBytesMax else {
      return fail(number, "the \(unit.rawValue) has over \(limits.rowBytesMax) bytes")
    }
    if !paragraph.isEmpty { paragraph += "\n" }
    paragraph += text
  }

  private mutating func fail(_ line: UInt64, _ reason: String) {
    if problem == nil { problem = (line, reason) }
    paragraph = ""
  }

  private mutating func endParagraph(_ sink: ParsedItemSink) throws(DataError) {
    guard paragraphLine > 0 else { return }
    let item: ParsedItem =
      if let problem {
        .bad(line: problem.line, reason: problem.reason)
      } else {
        .row(.text(paragraph), line: paragraphLine)
      }
    (paragraph, paragraphLine, problem) = ("", 0, nil)
    try sink(item)
  }
}
