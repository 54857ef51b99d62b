import Digests
import Files
import Foundation
import Testing

private struct TestError: FileFailure, Equatable {
  var operation: FileOperation
  var number: CInt = 0

  static func refused(
    _ operation: FileOperation,
    _ path: String,
    _ cause: SystemCallError
  ) -> TestError { TestError(operation: operation, number: cause.number) }

  static func excessive(_ operation: FileOperation, _ path: String, _ excess: String) -> TestError {
    TestError(operation: operation)
  }
}

@Suite struct DigestsTests {
  /// SHA-256 of "abc", FIPS 180-2 appendix B.1.
  private let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder.path)
  }

  @Test func `Bytes are two digits each, in lower case`() {
    #expect([UInt8]().hexadecimal == "")
    #expect([0, 9, 10, 0x7F, 0x80, 255].map { UInt8($0) }.hexadecimal == "00090a7f80ff")
  }

  @Test func `The digest of a file is that of its content, in pieces or not`() throws {
    try withFolder { folder in
      try FileOperations<TestError>.write("abc".utf8, to: "\(folder)/abc")
      let found = try FileOperations<TestError>.sha256(of: "\(folder)/abc")
      #expect(found.sha256 == abc && found.sizeBytes == 3)
      // FIPS 180-2, appendix B.3.
      let million = Array(repeating: UInt8(ascii: "a"), count: 1_000_000)
      let path = "\(folder)/million"
      try FileOperations<TestError>.write(million, to: path)
      #expect(
        try FileOperations<TestError>.sha256(of: path).sha256
          == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
      )
    }
  }

  @Test func `What is no file is refused at once`() throws {
    try withFolder { folder in
      mkfifo("\(folder)/pipe", 0o600)
      symlink("/dev/zero", "\(folder)/link")
      try FileOperations<TestError>.createDirectory("\(folder)/folder")
      let expected: [(String, Bool, TestError)] = [
        ("pipe", false, TestError(operation: .read, number: ENOTSUP)),
        ("link", false, TestError(operation: .open, number: ELOOP)),
        ("link", true, TestError(operation: .read, number: ENOTSUP)),
        ("folder", false, TestError(operation: .read, number: EISDIR)),
        ("nothing", false, TestError(operation: .open, number: ENOENT)),
      ]
      for (name, followsLinks, error) in expected {
        #expect(throws: error, "\(name)") {
          try FileOperations<TestError>.sha256(of: "\(folder)/\(name)", followsLinks: followsLinks)
        }
      }
    }
  }

  @Test func `The digest of a set does not depend on its order`() {
    let (first, second) = (("B", "b0"), ("a", "a0"))
    let digest = sha256(ofListing: [first, second])
    // printf 'b0  B\na0  a\n' | sha256sum
    #expect(digest == "0caddfce87da3fc045c0dc6da6a76a0a8d9b36edd91770e5e361d1277dc4d961")
    #expect(sha256(ofListing: [second, first]) == digest)
  }
}
