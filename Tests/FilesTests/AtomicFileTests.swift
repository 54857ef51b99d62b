import Foundation
import Testing

@testable import Files

@Suite struct AtomicFileTests {
  @Test func `A file is replaced at once, and nothing stays beside it`() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/file"
    try AtomicFile<TestError>.write("old".utf8, to: path)
    let file = try AtomicFile<TestError>(path)
    try file.write("ne")
    try file.write([UInt8(ascii: "w")])
    #expect(text(path) == "old")
    try file.commit()
    #expect(text(path) == "new")
    #expect(try folder.names == ["file"])
  }

  @Test func `A file that is given up leaves the old one, and nothing beside it`() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/file"
    try AtomicFile<TestError>.write("old".utf8, to: path)
    do {
      let file = try AtomicFile<TestError>(path)
      try file.write("half of the n")
    }
    #expect(text(path) == "old")
    #expect(try folder.names == ["file"])
  }

  @Test func `What a crash left is overwritten, however long it is`() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/file"
    try FileSystem.write(Array(repeating: 7, count: 10_000), to: "\(path).tmp")
    try AtomicFile<TestError>.write("new".utf8, to: path)
    #expect(text(path) == "new")
    #expect(try folder.names == ["file"])
  }

  @Test func `Errors name the operation, the path and the reason`() throws {
    let folder = try TemporaryFolder()
    let nowhere = "\(folder.path)/no/file"
    #expect(throws: TestError(operation: .create, path: "\(nowhere).tmp", number: ENOENT)) {
      try AtomicFile<TestError>(nowhere)
    }
    // A link would lead the writing elsewhere.
    symlink("/dev/null", "\(folder.path)/file.tmp")
    #expect(throws: TestError(operation: .create, path: "\(folder.path)/file.tmp", number: ELOOP)) {
      try AtomicFile<TestError>("\(folder.path)/file")
    }
    // A folder cannot be replaced by a file.
    try FileSystem.createDirectory("\(folder.path)/folder")
    #expect(throws: TestError(operation: .rename, path: "\(folder.path)/folder", number: EISDIR)) {
      try AtomicFile<TestError>.write("x".utf8, to: "\(folder.path)/folder")
    }
    #expect(try folder.names == ["file.tmp", "folder"])
  }

  @Test(arguments: AtomicFileStep.allCases)
  func `Killed at any step, the old file or the new one is there whole`(
    step: AtomicFileStep
  ) async throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/file"
    try AtomicFile<TestError>.write("old".utf8, to: path)
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [path = path as String, step = step.rawValue as String] in
      let file = try AtomicFile<TestError>(path) { reached in
        if reached.rawValue == step { kill(getpid(), SIGKILL) }
      }
      try file.write(Array(repeating: UInt8(ascii: "n"), count: 3 << 20))
      try file.commit()
    }
    let isNew = step == .renamed || step == .committed
    let content = try #require(FileManager.default.contents(atPath: path))
    #expect(content.count == (isNew ? 3 << 20 : 3), "\(step)")
    #expect(try folder.names == (isNew ? ["file"] : ["file", "file.tmp"]))
    try AtomicFile<TestError>.write("next".utf8, to: path)
    #expect(text(path) == "next")
    #expect(try folder.names == ["file"])
  }

  @Test func `A disk that is full leaves the old file and takes nothing more`() async throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/file"
    try AtomicFile<TestError>.write("old".utf8, to: path)
    // The limit on the size of files stands in for a full disk: `write` takes a part, then nothing.
    await #expect(processExitsWith: .exitCode(EFBIG)) { [path = path as String] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 100_000, rlim_max: 100_000)
      guard setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0 else { exit(1) }
      do throws(TestError) {
        try AtomicFile<TestError>.write(Array(repeating: 1, count: 200_000), to: path)
      } catch {
        exit(error.operation == .write ? error.number : 2)
      }
    }
    #expect(text(path) == "old")
    #expect(try folder.names == ["file"])
  }
}
