package import Tokenizers

/// The tokens of one window of a text, special tokens included: parallel lists, as the model saw them.
package struct EntityWindow: Sendable, Equatable {
  /// The longest token.
  package static let tokenBytesMax = 4_096

  /// Token ids.
  package let ids: [UInt32]
  /// The tokens as the vocabulary writes them.
  package let tokens: [String]
  /// The Unicode scalars of the text that each token stands for.
  package let offsets: [Range<Int>]
  /// Whether the tokenizer added the token.
  package let special: [Bool]

  /// Checks lists that come from outside; throws `invalidArgument` when their lengths differ, an end
  /// is before its start, or a token is too long.
  package init(
    ids: [UInt32],
    tokens: [String],
    starts: [UInt32],
    ends: [UInt32],
    special: [Bool]
  ) throws(GenerationError) {
    let counts = [tokens.count, starts.count, ends.count, special.count]
    guard counts.allSatisfy({ $0 == ids.count }) else {
      throw GenerationError(
        .invalidArgument,
        "token window: \(ids.count) ids, \(tokens.count) tokens, \(starts.count) starts, "
          + "\(ends.count) ends, \(special.count) special flags; the counts must be equal"
      )
    }
    if let index = tokens.firstIndex(where: { $0.utf8.count > Self.tokenBytesMax }) {
      throw GenerationError(
        .invalidArgument,
        "token window: token \(index) has \(tokens[index].utf8.count) bytes; "
          + "\(Self.tokenBytesMax) are accepted"
      )
    }
    var offsets: [Range<Int>] = []
    offsets.reserveCapacity(ids.count)
    for (start, end) in zip(starts, ends) {
      guard start <= end else {
        throw GenerationError(
          .invalidArgument,
          "token window: token \(offsets.count) starts at \(start) and ends at \(end)"
        )
      }
      offsets.append(Int(start)..<Int(end))
    }
    self.ids = ids
    self.tokens = tokens
    self.offsets = offsets
    self.special = special
  }

  /// The window of an encoding.
  package init(_ encoding: Encoding) {
    ids = encoding.ids
    tokens = encoding.tokens
    offsets = encoding.offsets
    special = encoding.special
  }
}
