package import Store

/// Writes rows as files that can be imported again.
package struct RowExport: Sendable {
  /// The format of the file.
  package let format: FileFormat
  /// What makes one row of a plain text.
  package let textUnit: TextUnit

  /// An export in a format.
  package init(format: FileFormat, textUnit: TextUnit = .line) {
    self.format = format
    self.textUnit = textUnit
  }

  /// What a file of rows of a kind starts with; throws `invalidArgument` if the format cannot hold them.
  package func header(_ kind: RowKind) throws(DataError) -> [UInt8] {
    switch (format, kind) {
    case (.jsonl, _), (.conll, .tokenClassification), (.text, .text): return []
    case (.csv, .sequenceClassification): return Array("text,label\r\n".utf8)
    case (.tsv, .sequenceClassification): return Array("text\tlabel\r\n".utf8)
    case (.csv, .text), (.tsv, .text): return Array("text\r\n".utf8)
    default:
      throw DataError(
        .invalidArgument,
        "export: rows of kind \(kind.rawValue) do not fit into \(format.rawValue)"
      )
    }
  }

  /// Appends a row; throws `invalidArgument` if the format cannot hold it.
  package func append(_ row: DatasetRow, to bytes: inout [UInt8]) throws(DataError) {
    switch (format, row) {
    case (.jsonl, _):
      row.appendJSON(to: &bytes)
      bytes.append(0x0A)
    case (.conll, .tokens(let tokens, let tags)):
      for (token, tag) in zip(tokens, tags) {
        let isPlain = (token + tag).utf8.allSatisfy { $0 != 0x09 && $0 != 0x0A && $0 != 0x0D }
        guard isPlain, token != "-DOCSTART-", !token.isBlank, tag.utf8.last != 0x20 else {
          throw DataError(
            .invalidArgument,
            "export: token \(StoreName.quoted(token)) does not fit into a line of CoNLL"
          )
        }
        bytes.append(contentsOf: "\(token)\t\(tag)\n".utf8)
      }
      bytes.append(0x0A)
    case (.csv, .labelled(let text, let label)), (.tsv, .labelled(let text, let label)):
      append(field: text, to: &bytes)
      bytes.append(delimiter)
      append(field: label, to: &bytes)
      bytes.append(contentsOf: [0x0D, 0x0A])
    case (.csv, .text(let text)), (.tsv, .text(let text)):
      append(field: text, to: &bytes)
      bytes.append(contentsOf: [0x0D, 0x0A])
    case (.text, .text(let text)):
      try append(text: text, to: &bytes)
    default:
      throw DataError(
        .invalidArgument,
        "export: rows of kind \(row.kind.rawValue) do not fit into \(format.rawValue)"
      )
    }
  }

  private var delimiter: UInt8 { format == .tsv ? 0x09 : UInt8(ascii: ",") }

  private func append(field: String, to bytes: inout [UInt8]) {
    let special: [UInt8] = [delimiter, 0x0A, 0x0D, UInt8(ascii: "\"")]
    guard field.utf8.contains(where: special.contains) || field.hasPrefix("\u{FEFF}") else {
      bytes.append(contentsOf: field.utf8)
      return
    }
    bytes.append(UInt8(ascii: "\""))
    for byte in field.utf8 {
      if byte == UInt8(ascii: "\"") { bytes.append(byte) }
      bytes.append(byte)
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private func append(text: String, to bytes: inout [UInt8]) throws(DataError) {
    let lines = text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false)
    let isWhole = lines.allSatisfy { line in
      line.last != 0x0D && line.contains { $0 != 0x20 && !(0x09...0x0D).contains($0) }
    }
    guard isWhole, textUnit == .paragraph || lines.count == 1 else {
      throw DataError(.invalidArgument, "export: a text has line breaks of its own; use jsonl")
    }
    bytes.append(contentsOf: text.utf8)
    bytes.append(0x0A)
    if textUnit == .paragraph { bytes.append(0x0A) }
  }
}
