import Foundation
import JSON

/// The reports of seqeval and scikit-learn.
enum Peer {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/reports")

  static let python: String = {
    let environment = ProcessInfo.processInfo.environment
    let peers = environment["LLMOS_PEERS"] ?? "\(environment["HOME"] ?? "")/.cache/llmos-peers"
    return "\(peers)/venv/bin/python"
  }()

  static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: python) }

  static func golden() throws -> [JSONValue] {
    try rows(Data(contentsOf: folder.appending(path: "golden.jsonl")))
  }

  static func live(seed: Int, count: Int) throws -> [JSONValue] {
    let process = Process()
    process.executableURL = URL(filePath: python)
    process.arguments = [
      "-B", folder.appending(path: "generate.py").path, "\(seed)", "\(count)",
    ]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let data = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return try rows(data)
  }

  private static func rows(_ data: Data) throws -> [JSONValue] {
    try data.split(separator: 0x0A).map { try JSONReader.parse(Array($0)) }
  }
}

extension JSONValue {
  subscript(key: String) -> JSONValue {
    if case .object(let object) = self { object[key] ?? .null } else { .null }
  }

  var elements: [JSONValue] { if case .array(let array) = self { array } else { [] } }
  var text: String? { if case .string(let string) = self { string } else { nil } }
  var texts: [String] { elements.compactMap(\.text) }
  var keys: [String] {
    if case .object(let object) = self { object.members.map(\.key) } else { [] }
  }

  var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
}

extension String {
  /// Equality of scalars; `==` would let composed and decomposed characters pass.
  func isIdentical(_ other: String?) -> Bool {
    other.map { utf8.elementsEqual($0.utf8) } ?? false
  }
}
