import Foundation
import RPC
import ServiceAPI
import Testing

/// Google's protobuf, run as a Python process.
enum ProtobufPeer {
  static let python: String = {
    let environment = ProcessInfo.processInfo.environment
    let home = environment["HOME"] ?? "/root"
    return (environment["LLMOS_PEERS"] ?? "\(home)/.cache/llmos-peers") + "/venv/bin/python"
  }()

  static var isAbsent: Bool {
    !FileManager.default.isExecutableFile(atPath: python)
  }

  /// Runs Tests/Fixtures/protobuf_peer.py and returns the lines it printed.
  static func run(_ arguments: [String], _ lines: [String]) throws -> [Substring] {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let input = FileManager.default.temporaryDirectory.appending(path: "\(UUID()).txt")
    let text = ([hex(TestV1.fileDescriptor)] + lines).joined(separator: "\n")
    try Data(text.utf8).write(to: input)
    defer { try? FileManager.default.removeItem(at: input) }

    let process = Process()
    process.executableURL = URL(filePath: python)
    process.arguments = [tests.appending(path: "Fixtures/protobuf_peer.py").path] + arguments
    process.standardInput = try FileHandle(forReadingFrom: input)
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let printed = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "protobuf_peer.py \(arguments)")
    return String(decoding: printed, as: UTF8.self).split(separator: "\n")
  }

  /// Decodes the message `name` and encodes it again.
  static func reencode(_ name: Substring, _ bytes: [UInt8]) throws -> [UInt8] {
    switch name {
    case "llmos.test.v1.Scalars": try encode(decode(bytes, as: TestV1.Scalars.self))
    case "llmos.test.v1.Lists": try encode(decode(bytes, as: TestV1.Lists.self))
    case "llmos.test.v1.Maps": try encode(decode(bytes, as: TestV1.Maps.self))
    case "llmos.test.v1.Choices": try encode(decode(bytes, as: TestV1.Choices.self))
    case "llmos.test.v1.Tree": try encode(decode(bytes, as: TestV1.Tree.self))
    case "llmos.test.v1.Awkward": try encode(decode(bytes, as: TestV1.Awkward.self))
    default: try encode(decode(bytes, as: TestV1.Empty.self))
    }
  }
}

@Suite(
  .disabled(if: ProtobufPeer.isAbsent, "no Python with protobuf at \(ProtobufPeer.python)")
)
struct ProtobufPeerTests {
  @Test(arguments: [1, 2, 3])
  func `random messages of Google's protobuf pass through unchanged`(seed: Int) throws {
    let theirs = try ProtobufPeer.run(["generate", "\(seed)", "700"], [])
    #expect(theirs.count == 700)
    let pairs = try theirs.map { line in
      let parts = line.split(separator: " ")
      let ours = try ProtobufPeer.reencode(parts[0], bytes(hex: parts[1]))
      return "\(line) \(hex(ours))"
    }
    _ = try ProtobufPeer.run(["compare"], pairs)
  }

  @Test func `our messages come back from Google's protobuf unchanged`() throws {
    let lines = [
      "llmos.test.v1.Scalars \(hex(try encode(Samples.scalars)))",
      "llmos.test.v1.Lists \(hex(try encode(Samples.lists)))",
      "llmos.test.v1.Maps \(hex(try encode(Samples.maps)))",
      "llmos.test.v1.Choices \(hex(try encode(Samples.choices)))",
      "llmos.test.v1.Tree \(hex(try encode(Samples.tree(depth: 30))))",
      "llmos.test.v1.Awkward \(hex(try encode(Samples.awkward)))",
    ]
    let replies = try ProtobufPeer.run(["reencode"], lines).map { bytes(hex: $0) }
    try #require(replies.count == lines.count)
    #expect(try decode(replies[0]) == Samples.scalars)
    #expect(try decode(replies[1]) == Samples.lists)
    #expect(try decode(replies[2]) == Samples.maps)
    #expect(try decode(replies[3]) == Samples.choices)
    #expect(try decode(replies[4]) == Samples.tree(depth: 30))
    #expect(try decode(replies[5]) == Samples.awkward)
    // Where there are no maps, byte for byte.
    for index in [0, 1, 3, 4] { #expect(lines[index].hasSuffix(hex(replies[index]))) }
  }
}
