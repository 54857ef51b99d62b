import Foundation
import JSON

@testable import Tokenizers

/// Where the tests find models, data and the Python peers.
enum Places {
  static let packageRoot = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  static func model(_ name: String) -> String { "\(packageRoot)/deploy/models/\(name)" }

  /// Development data beside the project; its tests are skipped where it is absent.
  static let shared =
    ProcessInfo.processInfo.environment["LLMOS_SHARED"] ?? "\(packageRoot)/../shared"

  static let python: String = {
    let environment = ProcessInfo.processInfo.environment
    let peers = environment["LLMOS_PEERS"] ?? "\(environment["HOME"] ?? "")/.cache/llmos-peers"
    return "\(peers)/venv/bin/python"
  }()

  static var hasPeers: Bool { FileManager.default.isExecutableFile(atPath: python) }
  static var hasShared: Bool { FileManager.default.fileExists(atPath: "\(shared)/data/README.md") }
}

/// Models are loaded once for all tests.
enum Models {
  static let chat = Result { try Tokenizer(folder: Places.model("support-chat")) }
  static let entities = Result { try Tokenizer(folder: Places.model("ner-wikiann")) }
}

extension JSONValue {
  /// Reads a JSON file or text in a test.
  static func read(_ bytes: some Sequence<UInt8>) throws -> JSONValue {
    try JSONReader.parse(Array(bytes))
  }

  subscript(key: String) -> JSONValue {
    if case .object(let object) = self { object[key] ?? .null } else { .null }
  }

  var elements: [JSONValue] { if case .array(let array) = self { array } else { [] } }
  var text: String { if case .string(let string) = self { string } else { "" } }
  var int: Int? { if case .integer(let integer) = self { integer } else { nil } }
  var flag: Bool { if case .boolean(let bool) = self { bool } else { false } }
  var ids: [UInt32] { elements.compactMap { $0.int.map(UInt32.init) } }
}
