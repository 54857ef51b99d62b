import JSON

/// The tokens of a model: id to token, and bytes to id.
///
/// Not a `Dictionary<String, UInt32>`: Swift's strings compare by canonical equivalence, so that
/// "é" composed and decomposed would be one token, and pieces of text would need a `String` each
/// to be looked up.
struct Vocabulary: Sendable {
  /// Tokens by id; the empty string where an id is not used.
  let tokens: [String]
  /// The longest token.
  let tokenBytesMax: Int

  /// All tokens' UTF-8, one after the other; token `id` is `pool[starts[id]..<starts[id + 1]]`.
  private let pool: [UInt8]
  private let starts: [UInt32]
  /// Open addressing with linear probing: id + 1, 0 where free.
  private let slots: [UInt32]
  private let seed: UInt64

  /// Builds the vocabulary of `members`, the `vocab` object of tokenizer.json.
  init(_ members: JSONObject, path: String) throws(TokenizerError) {
    var tokens = [String](repeating: "", count: try Self.tableSize(members, path: path))
    var isUsed = [Bool](repeating: false, count: tokens.count)
    for (token, value) in members.members {
      guard case .integer(let id) = value else { continue }
      guard token.utf8.count <= TokenizerLimits.tokenBytesMax else {
        throw TokenizerError(
          .limitExceeded,
          "\(path): the token \(id) has \(token.utf8.count) bytes, the limit is "
            + "\(TokenizerLimits.tokenBytesMax)"
        )
      }
      guard !isUsed[id] else {
        throw TokenizerError(
          .invalidFile,
          "\(path): the tokens \"\(tokens[id].excerpt())\" and \"\(token.excerpt())\" have the "
            + "same id \(id)"
        )
      }
      isUsed[id] = true
      tokens[id] = token
    }

    var pool: [UInt8] = []
    var starts: [UInt32] = [0]
    starts.reserveCapacity(tokens.count + 1)
    var tokenBytesMax = 0
    for token in tokens {
      pool.append(contentsOf: token.utf8)
      tokenBytesMax = max(tokenBytesMax, token.utf8.count)
      starts.append(UInt32(pool.count))
    }
    self.tokens = tokens
    self.tokenBytesMax = tokenBytesMax
    self.pool = pool
    self.starts = starts

    // A seed of this process, so that no file can be made of colliding tokens.
    seed = UInt64.random(in: .min ... .max)
    var slotCount = 16
    while slotCount < 2 * tokens.count { slotCount *= 2 }
    var slots = [UInt32](repeating: 0, count: slotCount)
    for id in tokens.indices where isUsed[id] {
      var hash = Hash(seed)
      for byte in tokens[id].utf8 { hash.add(byte) }
      var slot = hash.slot(slotCount)
      while slots[slot] != 0 {
        let other = slots[slot] - 1
        if pool[Int(starts[Int(other)])..<Int(starts[Int(other) + 1])]
          .elementsEqual(tokens[id].utf8)
        {
          throw TokenizerError(
            .invalidFile,
            "\(path): the token \"\(tokens[id].excerpt())\" is there twice, with ids \(other) and \(id)"
          )
        }
        slot = (slot + 1) & (slotCount - 1)
      }
      slots[slot] = UInt32(id) + 1
    }
    self.slots = slots
  }

  private static func tableSize(
    _ members: JSONObject,
    path: String
  ) throws(TokenizerError) -> Int {
    var size = 0
    for (token, value) in members.members {
      guard case .integer(let id) = value, id >= 0, id < TokenizerLimits.vocabularySizeMax else {
        throw TokenizerError(
          .invalidFile,
          "\(path): the id of \"\(token.excerpt())\" must be an integer from 0 to "
            + "\(TokenizerLimits.vocabularySizeMax - 1)"
        )
      }
      size = max(size, id + 1)
    }
    guard size > 0 else { throw TokenizerError(.invalidFile, "\(path) has no tokens") }
    return size
  }

  /// FNV-1a, which grows byte by byte, so that all prefixes of a word cost one pass.
  struct Hash: Sendable {
    private var state: UInt64

    fileprivate init(_ seed: UInt64) { state = seed ^ 0xCBF2_9CE4_8422_2325 }

    @inline(__always)
    mutating func add(_ byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x100_0000_01B3 }

    @inline(__always)
    fileprivate func slot(_ slotCount: Int) -> Int {
      Int(truncatingIfNeeded: (state ^ state >> 29) &* 0x9E37_79B9_7F4A_7C15 >> 32)
        & (slotCount - 1)
    }
  }

  /// The hash of nothing, to add bytes to.
  var emptyHash: Hash { Hash(seed) }

  /// The id of the token `prefix + bytes[range]`, whose hash is `hash`.
  @inline(__always)
  func id(hash: Hash, prefix: [UInt8], _ bytes: [UInt8], _ range: Range<Int>) -> UInt32? {
    var slot = hash.slot(slots.count)
    let length = prefix.count + range.count
    while slots[slot] != 0 {
      let id = slots[slot] - 1
      let start = Int(starts[Int(id)])
      if Int(starts[Int(id) + 1]) - start == length,
        matches(prefix, 0..<prefix.count, at: start),
        matches(bytes, range, at: start + prefix.count)
      {
        return id
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  @inline(__always)
  private func matches(_ bytes: [UInt8], _ range: Range<Int>, at start: Int) -> Bool {
    for offset in 0..<range.count where bytes[range.lowerBound + offset] != pool[start + offset] {
      return false
    }
    return true
  }

  /// The id of a token given as UTF-8.
  func id(of token: [UInt8]) -> UInt32? {
    var hash = emptyHash
    for byte in token { hash.add(byte) }
    return id(hash: hash, prefix: [], token, 0..<token.count)
  }

  /// The token of an id that is used.
  func token(of id: UInt32) -> String? {
    guard id < tokens.count else { return nil }
    let token = tokens[Int(id)]
    // A token may be the empty string; then the table knows it.
    return !token.isEmpty || self.id(of: []) == id ? token : nil
  }
}
