import Files
import Foundation

/// A folder that goes when the object does.
final class TemporaryFolder {
  let path: String

  init() throws {
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "files-\(UUID().uuidString)"
    )
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    path = folder.resolvingSymlinksInPath().path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
  }
}

/// The errors of a module that works with files.
struct TestError: FileFailure, Equatable {
  var operation: FileOperation
  var path: String
  var number: CInt = 0
  var excess = ""

  static func refused(
    _ operation: FileOperation,
    _ path: String,
    _ cause: SystemCallError
  ) -> TestError {
    TestError(operation: operation, path: path, number: cause.number)
  }

  static func excessive(_ operation: FileOperation, _ path: String, _ excess: String) -> TestError {
    TestError(operation: operation, path: path, excess: excess)
  }
}

typealias FileSystem = FileOperations<TestError>

/// The text of a file; nil if there is none.
func text(_ path: String) -> String? {
  FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
}
