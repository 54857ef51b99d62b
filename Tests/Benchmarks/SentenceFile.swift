import Foundation
import JSON
import Trainer

/// The first sentences of a CoNLL file, as both sides of a comparison read them.
struct SentenceFile: RowSource {
  /// The sentences as they stand in the file, each with its line feeds.
  private let sentences: [Substring]

  /// Reads `sentencesMax` sentences of a file, or all; a blank line ends one.
  init(path: String, sentencesMax: Int?) throws {
    let text: String
    do {
      text = try String(contentsOfFile: path, encoding: .utf8)
    } catch {
      throw BenchError("read \(path): \(error.localizedDescription)")
    }
    let blocks = text.split(separator: "\n\n").map { $0.drop { $0.isNewline } }
    sentences = Array(blocks.filter { !$0.isEmpty }.prefix(sentencesMax ?? .max))
    guard !sentences.isEmpty else { throw BenchError("read \(path): there is no sentence") }
  }

  /// Writes the sentences as CoNLL.
  func write(to path: String) throws {
    let text = sentences.joined(separator: "\n\n") + "\n\n"
    try text.write(toFile: path, atomically: false, encoding: .utf8)
  }

  /// The rows: the first column is the token, the last one its tag.
  func forEachRow(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    for sentence in sentences {
      let words = sentence.split(whereSeparator: \.isNewline).compactMap { line in
        let columns = line.split(whereSeparator: \.isWhitespace)
        return columns.first.map { ($0, columns[columns.count - 1]) }
      }
      var row = JSONObject()
      _ = row.append("tokens", .array(words.map { .string(String($0.0)) }))
      _ = row.append("tags", .array(words.map { .string(String($0.1)) }))
      let json = Array(JSONValue.object(row).serialized().utf8)
      try json.withUnsafeBytes { try body($0) }
    }
  }
}
