import Foundation
import Testing

/// Rules of the source tree that the compiler does not check.
@Suite("The source tree")
struct TidyTests {
  /// The longest hand-written file.
  static let fileLinesMax = 500

  static let mathematics: Set<String> = [
    "CKernels", "COpenBLAS", "Checkpoints", "Generation", "Models", "Optimizers", "Reports",
    "Tensors", "Tokenizers", "Trainer",
  ]
  static let wire: Set<String> = [
    "CNghttp2", "CProto", "CProtobufC", "RPC", "ServiceAPI", "ServiceKit",
  ]

  /// What only services import.
  static let stores: Set<String> = ["Databases", "GRDB"]

  /// Constructs that are not used here, each with what to do instead.
  static let banned = [
    ("print(", "use the logger"),
    ("Task.detached", "use structured concurrency"),
    ("DispatchSemaphore", "it blocks a thread of the cooperative pool; use a continuation"),
    ("try!", "handle the error"),
    ("FIXME", "resolve it before it lands"),
    ("TODO", "do it, or file it"),
  ]

  @Test(
    "mathematics and wire never import each other",
    arguments: sourceFiles(in: ["Shared", "Services"])
  )
  func columns(_ file: SourceFile) {
    let module = file.module
    let others =
      Self.mathematics.contains(module)
      ? Self.wire : Self.wire.contains(module) ? Self.mathematics : []
    #expect(file.imports.isDisjoint(with: others), "\(file.path) imports the other column")
    if !others.isEmpty {
      #expect(file.imports.isDisjoint(with: Self.stores), "\(file.path) imports a database")
    }
  }

  @Test(
    "JSON and storage import neither",
    arguments: sourceFiles(in: ["Shared/JSON", "Shared/Storage"])
  )
  func neutral(_ file: SourceFile) {
    #expect(file.imports.isDisjoint(with: Self.mathematics.union(Self.wire)))
  }

  @Test(
    "files are short enough to read",
    arguments: sourceFiles(in: ["Shared", "Services", "Tests"])
  )
  func length(_ file: SourceFile) {
    #expect(file.lines.count <= Self.fileLinesMax, "\(file.path) has \(file.lines.count) lines")
  }

  @Test("banned constructs are not used", arguments: sourceFiles(in: ["Shared", "Services"]))
  func banned(_ file: SourceFile) {
    for (construct, instead) in Self.banned {
      for (number, line) in file.lines.enumerated() where line.containsCall(construct) {
        Issue.record("\(file.path):\(number + 1) has \(construct): \(instead)")
      }
    }
  }
}

/// A hand-written Swift file.
struct SourceFile: Sendable, CustomTestStringConvertible {
  /// Relative to the package.
  let path: String
  let lines: [Substring]

  var testDescription: String { path }

  /// The module the file belongs to: the deepest folder on its way that is a module's.
  var module: String {
    let modules = TidyTests.mathematics.union(TidyTests.wire)
    return path.split(separator: "/").map(String.init).last { modules.contains($0) } ?? ""
  }

  var imports: Set<String> {
    Set(
      lines.compactMap { line in
        let words = line.split(separator: " ")
        guard let index = words.firstIndex(of: "import"), index <= 2, index + 1 < words.count else {
          return nil
        }
        return String(words[index + 1])
      }
    )
  }
}

/// The hand-written Swift files below some folders of the package, tables aside.
func sourceFiles(in folders: [String]) -> [SourceFile] {
  let package = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  return folders.flatMap { folder -> [SourceFile] in
    let files = FileManager.default.enumerator(atPath: package.appending(path: folder).path)
    return (files?.compactMap { $0 as? String } ?? []).sorted().compactMap { name in
      let path = "\(folder)/\(name)"
      guard name.hasSuffix(".swift"), !path.contains("/Generated/"), !path.contains("/TidyTests/"),
        !path.hasSuffix("Tables.swift"),
        let text = try? String(contentsOf: package.appending(path: path), encoding: .utf8)
      else { return nil }
      return SourceFile(
        path: path,
        lines: text.split(separator: "\n", omittingEmptySubsequences: false)
      )
    }
  }
}

extension Substring {
  /// Whether the line has `construct` as a word of its own, outside a comment.
  fileprivate func containsCall(_ construct: String) -> Bool {
    let code = ranges(of: "//").first.map { self[..<$0.lowerBound] } ?? self
    guard !code.contains("case \(construct)"), let range = code.firstRange(of: construct) else {
      return false
    }
    guard range.lowerBound > code.startIndex else { return true }
    let before = code[code.index(before: range.lowerBound)]
    return !(before.isLetter || before.isNumber || before == "_" || before == ".")
  }
}
