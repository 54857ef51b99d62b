import JSON
import Store

/// Decides what becomes of each row of an import, and counts.
///
/// Used by one task at a time.
final class RowIntake {
  /// The longest reason of a bad row.
  private static let reasonScalarsMax = 400

  private let options: ImportOptions
  private let limits: DatasetLimits
  private var detector = TagSchemeDetector()
  private var labels: Set<String> = []
  private var strata: [String: UInt32] = [:]

  /// What the rows are: as asked, or what the first good one is.
  private(set) var kind: RowKind?
  /// Good rows.
  private(set) var rows: UInt64 = 0
  /// The first bad rows.
  private(set) var badRows: [BadRow] = []
  /// All bad rows.
  private(set) var badRowsTotal: UInt64 = 0

  init(options: ImportOptions, limits: DatasetLimits) {
    self.options = options
    self.limits = limits
    kind = options.parsing.kind
  }

  /// Whether the import fails for its rows.
  var isRefused: Bool { options.badRows == .reject && badRowsTotal > 0 }

  /// Takes what a parser found; throws what ends the import.
  func take(
    _ item: ParsedItem,
    of file: String,
    into split: String,
    _ writer: VersionWriter
  ) throws(DataError) {
    switch item {
    case .bad(let line, let reason): refuse(file, line, reason)
    case .row(let row, let line):
      let admitted: Admitted
      do throws(RowProblem) {
        admitted = try admit(row, at: "\(file):\(line)")
      } catch {
        return refuse(file, line, error.reason)
      }
      try countLabels(of: admitted.row)
      // What follows a refused row is read for its problems alone.
      if !isRefused {
        let isStored = try writer.append(
          admitted.row,
          to: split,
          stratum: admitted.stratum,
          isPlain: options.tagScheme == .plain
        )
        guard isStored else {
          return refuse(file, line, "longer than \(limits.rowBytesMax) bytes")
        }
      }
      rows += 1
      kind = row.kind
    }
  }

  /// The scheme of all tags; nil if there are none.
  func finalScheme() throws(DataError) -> TagScheme? {
    guard kind == .tokenClassification else { return nil }
    if let scheme = options.tagScheme { return scheme }
    guard let scheme = detector.scheme else {
      throw DataError(
        .failedPrecondition,
        "import \(options.name): the tags are of no one scheme: \(detector.conflict). "
          + "With the scheme named, the rows that are not of it are bad rows"
      )
    }
    return scheme
  }

  private func refuse(_ file: String, _ line: UInt64, _ reason: String) {
    badRowsTotal += 1
    if badRows.count < limits.badRowsListedMax {
      // It may quote what is in the file, and goes to terminals and messages.
      var shown = ""
      for scalar in reason.unicodeScalars.prefix(Self.reasonScalarsMax) {
        shown +=
          scalar.value < 0x20 || scalar.value == 0x7F ? scalar.escaped(asASCII: true) : "\(scalar)"
      }
      badRows.append(BadRow(file: file, line: line, reason: shown))
    }
  }

  private struct Admitted {
    let row: DatasetRow
    let stratum: UInt32
  }

  private func admit(
    _ row: DatasetRow,
    at place: @autoclosure () -> String
  ) throws(RowProblem) -> Admitted {
    if let kind, row.kind != kind {
      throw RowProblem("a row of kind \(row.kind.rawValue), where the dataset is \(kind.rawValue)")
    }
    switch row {
    case .text, .chat: return Admitted(row: row, stratum: 0)
    case .labelled(_, let label):
      try check(label, "label")
      return Admitted(row: row, stratum: stratum(of: label))
    case .tokens(let tokens, let tags):
      for tag in tags { try check(tag, "tag") }
      guard options.tagScheme != .plain else { return Admitted(row: row, stratum: 0) }
      let analysis: TagAnalysis
      do {
        analysis = try TagAnalysis(tags)
      } catch {
        throw RowProblem(
          "tag \"\(error.tag.excerpt(40))\" is none of O, B-…, I-…, E-…, S-…, L-…, U-…; "
            + "tags that mark no chunks need the scheme plain"
        )
      }
      if let scheme = options.tagScheme {
        if let objection = analysis.objection(to: scheme) {
          throw RowProblem("not \(scheme.title): \(objection)")
        }
      } else {
        detector.add(analysis, at: place())
      }
      let types = Set(analysis.entities).sorted().joined(separator: "\n")
      return Admitted(
        row: .tokens(tokens, tags: analysis.tags),
        stratum: stratum(of: types)
      )
    }
  }

  private func check(_ label: String, _ what: String) throws(RowProblem) {
    let bytes = label.utf8
    guard !bytes.isEmpty else { throw RowProblem("the \(what) is empty") }
    guard bytes.count <= limits.labelBytesMax else {
      throw RowProblem("the \(what) is longer than \(limits.labelBytesMax) bytes")
    }
    guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
      throw RowProblem("the \(what) \(StoreName.quoted(label)) has control characters")
    }
  }

  private func stratum(of key: String) -> UInt32 {
    if let known = strata[key] { return known }
    // 0 is for all beyond the limit.
    guard strata.count < limits.strataMax else { return 0 }
    let number = UInt32(strata.count + 1)
    strata[key] = number
    return number
  }

  private func countLabels(of row: DatasetRow) throws(DataError) {
    switch row {
    case .tokens(_, let tags): for tag in tags where !labels.contains(tag) { labels.insert(tag) }
    case .labelled(_, let label): labels.insert(label)
    case .chat, .text: return
    }
    guard labels.count <= limits.labelsMax else {
      throw DataError(
        .resourceExhausted,
        "import \(options.name): more than \(limits.labelsMax) distinct labels; "
          + "is the right column taken for them?"
      )
    }
  }
}
