import Files
import Foundation
import Testing

@Suite struct FileOperationsTests {
  @Test func `Folders are made with those above them, listed and removed with all they hold`()
    throws
  {
    let folder = try TemporaryFolder()
    let deep = "\(folder.path)/a/b/c"
    try FileSystem.createDirectories(deep)
    try FileSystem.createDirectories(deep)
    for name in ["2", "1", ".3"] { try FileSystem.write("x".utf8, to: "\(deep)/\(name)") }
    #expect(try FileSystem.entries(of: deep) == [".3", "1", "2"])
    #expect(try FileSystem.directories(in: "\(folder.path)/a") == ["b"])
    #expect(try FileSystem.directories(in: deep) == [])
    #expect(
      throws: TestError(operation: .list, path: deep, excess: "more than 2 entries")
    ) { try FileSystem.entries(of: deep, limit: 2) }
    try FileSystem.syncDirectory(deep)
    #expect(
      throws: TestError(operation: .remove, path: "\(folder.path)/a/b", excess: "nested too deeply")
    ) { try FileSystem.removeTree("\(folder.path)/a", depthMax: 1) }
    try FileSystem.removeTree("\(folder.path)/a")
    try FileSystem.removeTree("\(folder.path)/a")
    #expect(try folder.names == [])
    #expect(throws: TestError(operation: .list, path: deep, number: ENOENT)) {
      try FileSystem.entries(of: deep)
    }
  }

  @Test func `Removing a link leaves what it names`() throws {
    let folder = try TemporaryFolder()
    try FileSystem.createDirectory("\(folder.path)/kept")
    try FileSystem.write("x".utf8, to: "\(folder.path)/kept/file")
    try FileSystem.createDirectory("\(folder.path)/removed")
    symlink("\(folder.path)/kept", "\(folder.path)/removed/link")
    try FileSystem.removeTree("\(folder.path)/removed")
    #expect(try folder.names == ["kept"])
    #expect(FileSystem.isFile("\(folder.path)/kept/file"))
  }

  @Test func `Two hard links are one file; a name that is taken is not replaced by a link`() throws
  {
    let folder = try TemporaryFolder()
    let (first, second) = ("\(folder.path)/first", "\(folder.path)/second")
    try FileSystem.write("x".utf8, to: first)
    #expect(try FileSystem.link(first, as: second))
    #expect(try FileSystem.link(first, as: second) == false)
    let status = try #require(try FileSystem.status(second))
    #expect(status.kind == .file && status.sizeBytes == 1)
    #expect(try FileSystem.status(first)?.identity == status.identity)
    try FileSystem.rename(first, to: "\(folder.path)/third")
    #expect(try FileSystem.status(first) == nil)
    #expect(try folder.names == ["second", "third"])
  }

  @Test func `Reading is bounded, and only of files`() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/file"
    let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try FileSystem.write(bytes, to: path)
    #expect(try FileSystem.read(path) == bytes)
    #expect(
      throws: TestError(operation: .read, path: path, excess: "3000000 bytes, more than 2999999")
    ) { try FileSystem.read(path, bytesMax: 2_999_999) }
    #expect(throws: TestError(operation: .read, path: folder.path, number: EISDIR)) {
      try FileSystem.read(folder.path)
    }
    let pipe = "\(folder.path)/pipe"
    mkfifo(pipe, 0o600)
    #expect(throws: TestError(operation: .read, path: pipe, number: ENOTSUP)) {
      try FileSystem.read(pipe)
    }
    #expect(!FileSystem.isFile(pipe) && !FileSystem.isFile(folder.path))
  }

  @Test func `A new file is not written over another, and can be made to stay as it is`() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/file"
    let writer = try FileWriter<TestError>(path, named: "weights", isNew: true, permissions: 0o600)
    try writer.write([1, 2, 3])
    try writer.finish(permissions: 0o444)
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o444)
    #expect(throws: TestError(operation: .create, path: path, number: EEXIST)) {
      try FileWriter<TestError>(path, isNew: true)
    }
    // A device on which every write fails as on a full disk.
    let full = try FileWriter<TestError>("/dev/full", named: "weights", isNew: false)
    #expect(throws: TestError(operation: .write, path: "weights", number: ENOSPC)) {
      try full.write([1])
    }
  }
}
