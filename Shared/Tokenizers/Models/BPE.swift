import JSON

/// Byte-pair encoding over bytes: starts with one symbol per byte and merges the pair of
/// neighbours that was learnt first until none is left.
///
/// Follows `models/bpe` of Hugging Face tokenizers for byte-level vocabularies: of equal ranks the
/// leftmost pair goes first.
struct BPE: Sendable {
  let vocabulary: Vocabulary
  /// The token of each single byte.
  private let byteIDs: [UInt32]
  let merges: MergeTable
  /// Takes a piece that is a token as it is, without merging.
  private let ignoresMerges: Bool

  init(_ section: JSONSection) throws(TokenizerError) {
    try section.refuse("dropout") { Self.isZero($0) }
    // `unk_token` and `byte_fallback` have no effect where every byte has a token.
    try section.refuse("continuing_subword_prefix") { Self.isEmpty($0) }
    try section.refuse("end_of_word_suffix") { Self.isEmpty($0) }
    guard let vocab = try section.section("vocab") else {
      throw TokenizerError(.invalidFile, "\(section.path).vocab is missing")
    }
    let vocabulary = try Vocabulary(vocab.object, path: vocab.path)
    var byteIDs: [UInt32] = []
    for (byte, scalar) in ByteAlphabet.scalars.enumerated() {
      var token: [UInt8] = []
      token.append(scalar: scalar)
      guard let id = vocabulary.id(of: token) else {
        throw TokenizerError(
          .unsupported,
          "\(vocab.path) has no token for byte \(byte): only byte-level BPE is supported"
        )
      }
      byteIDs.append(id)
    }
    ignoresMerges = try section.bool("ignore_merges", default: false)
    merges = try MergeTable(
      section.array("merges"),
      vocabulary,
      path: "\(section.path).merges"
    )
    self.vocabulary = vocabulary
    self.byteIDs = byteIDs
  }

  private static func isEmpty(_ value: JSONValue) -> Bool {
    if case .string(let text) = value { text.isEmpty } else { false }
  }

  private static func isZero(_ value: JSONValue) -> Bool {
    switch value {
    case .integer(0), .number(0): true
    default: false
    }
  }

  /// Buffers that are reused from piece to piece.
  struct Workspace {
    fileprivate var symbols: [Symbol] = []
    fileprivate var ranks: [UInt32] = []
    fileprivate var heap = MergeHeap()
  }

  fileprivate struct Symbol {
    var id: UInt32
    /// Where it ends, in bytes; -1 if it was merged into the one before.
    var end: Int32
    var previous: Int32
    var next: Int32
  }

  /// Pieces up to this many bytes are merged by scanning, which beats a heap on words.
  private static let scannedBytesMax = 48

  func tokenize(
    _ bytes: [UInt8],
    _ range: Range<Int>,
    _ workspace: inout Workspace,
    into tokens: inout [ModelToken]
  ) {
    if ignoresMerges, let id = id(ofPiece: bytes, range) {
      tokens.append(ModelToken(id: id, end: range.upperBound))
    } else if range.count <= Self.scannedBytesMax {
      tokenizeShort(bytes, range, &workspace, into: &tokens)
    } else {
      tokenizeLong(bytes, range, &workspace, into: &tokens)
    }
  }

  private func id(ofPiece bytes: [UInt8], _ range: Range<Int>) -> UInt32? {
    var token: [UInt8] = []
    for byte in bytes[range] { token.append(scalar: ByteAlphabet.scalars[Int(byte)]) }
    return vocabulary.id(of: token)
  }

  /// O(n²) with a small constant: symbols and the ranks of their pairs in two arrays, closed up
  /// after each merge.
  private func tokenizeShort(
    _ bytes: [UInt8],
    _ range: Range<Int>,
    _ workspace: inout Workspace,
    into tokens: inout [ModelToken]
  ) {
    let first = tokens.count
    for index in range {
      tokens.append(ModelToken(id: byteIDs[Int(bytes[index])], end: index + 1))
    }
    workspace.ranks.removeAll(keepingCapacity: true)
    for index in first..<max(first, tokens.count - 1) {
      workspace.ranks.append(merges.rank(tokens[index].id, tokens[index + 1].id))
    }
    while true {
      var best = MergeTable.none
      var position = 0
      for (index, rank) in workspace.ranks.enumerated() where rank < best {
        best = rank
        position = index
      }
      guard best != MergeTable.none else { return }
      let left = first + position
      tokens[left] = ModelToken(id: merges.result(best), end: tokens[left + 1].end)
      tokens.remove(at: left + 1)
      workspace.ranks.remove(at: position)
      if position > 0 {
        workspace.ranks[position - 1] = merges.rank(tokens[left - 1].id, tokens[left].id)
      }
      if left + 1 < tokens.count {
        workspace.ranks[position] = merges.rank(tokens[left].id, tokens[left + 1].id)
      }
    }
  }

  /// O(n log n): a linked list of symbols and a heap of the pairs that can be merged.
  private func tokenizeLong(
    _ bytes: [UInt8],
    _ range: Range<Int>,
    _ workspace: inout Workspace,
    into tokens: inout [ModelToken]
  ) {
    let count = Int32(range.count)
    workspace.symbols.removeAll(keepingCapacity: true)
    workspace.heap.removeAll()
    for offset in 0..<count {
      workspace.symbols.append(
        Symbol(
          id: byteIDs[Int(bytes[range.lowerBound + Int(offset)])],
          end: offset + 1,
          previous: offset - 1,
          next: offset + 1
        )
      )
    }
    for left in 0..<count - 1 { push(left, left + 1, &workspace) }
    while let (rank, position) = workspace.heap.pop() {
      var symbol = workspace.symbols[Int(position)]
      // The entry is out of date if the symbol is gone or its pair is now another.
      guard symbol.end >= 0, symbol.next < count else { continue }
      let right = workspace.symbols[Int(symbol.next)]
      guard merges.rank(symbol.id, right.id) == rank else { continue }
      workspace.symbols[Int(symbol.next)].end = -1
      symbol.id = merges.result(rank)
      symbol.end = right.end
      symbol.next = right.next
      workspace.symbols[Int(position)] = symbol
      if symbol.next < count {
        workspace.symbols[Int(symbol.next)].previous = position
        push(position, symbol.next, &workspace)
      }
      if symbol.previous >= 0 { push(symbol.previous, position, &workspace) }
    }
    var position: Int32 = 0
    while position < count {
      let symbol = workspace.symbols[Int(position)]
      tokens.append(ModelToken(id: symbol.id, end: range.lowerBound + Int(symbol.end)))
      position = symbol.next
    }
  }

  private func push(_ left: Int32, _ right: Int32, _ workspace: inout Workspace) {
    let rank = merges.rank(
      workspace.symbols[Int(left)].id,
      workspace.symbols[Int(right)].id
    )
    if rank != MergeTable.none { workspace.heap.push(rank: rank, position: left) }
  }
}
