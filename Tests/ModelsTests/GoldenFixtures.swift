import Foundation
import Tensors

@testable import Models

/// The demo models of the repository and what transformers computed with them.
enum Fixtures {
  static let models = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "deploy/models")

  static var supportChat: String { models.appending(path: "support-chat").path }
  static var nerWikiann: String { models.appending(path: "ner-wikiann").path }

  /// The tolerance of the goldens: weights are bf16, sums are f32 in another order.
  static let tolerance: Float = 2e-3

  static func golden<Content: Decodable>(
    _ type: Content.Type,
    in folder: String
  ) throws -> Content {
    try JSONDecoder().decode(
      type,
      from: try Data(contentsOf: URL(filePath: folder).appending(path: "golden.json"))
    )
  }
}

struct ChatGolden: Decodable {
  struct Conversation: Decodable {
    let ids: [UInt32]
    let generated: [UInt32]
    let lastLogits: [Float]?

    enum CodingKeys: String, CodingKey {
      case ids, generated
      case lastLogits = "last_logits"
    }
  }
  let conversations: [Conversation]
}

struct SentenceGolden: Decodable {
  let text: String
  let ids: [UInt32]
  let logits: [[Float]]
}

func maximumDifference(_ lhs: [Float], _ rhs: [Float]) -> Float {
  guard lhs.count == rhs.count else { return .infinity }
  return zip(lhs, rhs).reduce(0) { largest, pair in
    let difference = abs(pair.0 - pair.1)
    return difference.isNaN ? .infinity : max(largest, difference)
  }
}

/// Whether two buffers are equal: at the speed of memory, in a debug build too.
func hasSameBytes(_ lhs: UnsafeRawBufferPointer, _ rhs: UnsafeRawBufferPointer) -> Bool {
  guard lhs.count == rhs.count, let left = lhs.baseAddress, let right = rhs.baseAddress else {
    return lhs.count == rhs.count
  }
  return memcmp(left, right, lhs.count) == 0
}
