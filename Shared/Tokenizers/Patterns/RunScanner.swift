/// Finds the matches of patterns that are runs of one set of characters, of a fixed or a limited
/// length, which one more may lead in: `\p{N}{1,3}`, `[0-9][0-9][0-9]`, `\s?\p{L}+`, ` ?[^(\s]+`.
///
/// `@unchecked Sendable`: what `ascii` leads to is not written after `init`.
final class RunScanner: @unchecked Sendable {
  /// The run's characters.
  private let members: Set
  /// What may stand before it.
  private let prefix: Set?
  /// How many characters a run has.
  private let counts: ClosedRange<Int>
  /// Which ASCII characters are members (1) or a prefix (2).
  private let ascii: UnsafeMutablePointer<UInt8>
  private let categories = ScalarCategoryTable.shared

  /// A set as it is looked up.
  private struct Set {
    let categories: ScalarCategories
    let bounds: [UInt32]
    let isNegated: Bool

    init(_ set: ScalarSet) {
      categories = set.categories
      bounds = set.bounds
      isNegated = set.isNegated
    }

    func contains(_ scalar: UInt32, _ of: ScalarCategories) -> Bool {
      guard categories.isDisjoint(with: of) else { return !isNegated }
      // How many bounds are not above the scalar; it is inside behind an odd number of them.
      var low = 0
      var high = bounds.count
      while low < high {
        let middle = (low + high) / 2
        if bounds[middle] <= scalar { low = middle + 1 } else { high = middle }
      }
      return (low & 1 == 1) != isNegated
    }
  }

  /// Reads `pattern` if it is of this kind.
  init?(_ pattern: String) {
    let scalars = Array(pattern.unicodeScalars)
    var cursor = 0
    guard var members = ScalarSet(scalars, &cursor) else { return nil }
    var prefix: ScalarSet?
    if cursor < scalars.count, scalars[cursor] == "?" {
      cursor += 1
      prefix = members
      guard let run = ScalarSet(scalars, &cursor) else { return nil }
      members = run
    }
    if cursor == scalars.count {
      counts = 1...1
    } else if scalars[cursor...].elementsEqual("+".unicodeScalars) {
      counts = 1...Int.max
    } else if let counts = Self.counts(scalars[cursor...]) {
      self.counts = counts
    } else {
      var count = 1
      while cursor < scalars.count {
        guard let next = ScalarSet(scalars, &cursor), next == members else { return nil }
        count += 1
      }
      counts = count...count
    }
    // With another count the prefix could take a member that the run then lacks.
    guard prefix == nil || counts == 1...Int.max else { return nil }
    let run = Set(members)
    let lead = prefix.map { Set($0) }
    self.members = run
    self.prefix = lead
    ascii = .allocate(capacity: 128)
    for scalar in 0..<128 {
      let of = categories[UInt32(scalar)]
      let isLead = lead?.contains(UInt32(scalar), of) == true
      (ascii + scalar).initialize(
        to: (run.contains(UInt32(scalar), of) ? 1 : 0) | (isLead ? 2 : 0)
      )
    }
  }

  deinit { ascii.deallocate() }

  /// `{n}` or `{n,m}`.
  private static func counts(_ text: ArraySlice<Unicode.Scalar>) -> ClosedRange<Int>? {
    guard text.first == "{", text.last == "}", text.count <= 9 else { return nil }
    let numbers = text.dropFirst().dropLast().split(
      separator: ",",
      omittingEmptySubsequences: false
    )
    .map { Int(String(scalars: $0)) }
    switch (numbers.first ?? nil, numbers.last ?? nil) {
    case (let least?, let most?) where numbers.count <= 2 && least > 0 && most >= least:
      return least...most
    default: return nil
    }
  }

  /// Calls `body` with each match in `text[range]`, from first to last; none is empty.
  @inline(__always)
  func forEachMatch(
    in text: UnsafePointer<UInt8>,
    _ range: Range<Int>,
    _ body: (Range<Int>) throws(TokenizerError) -> Void
  ) throws(TokenizerError) {
    let end = range.upperBound
    var index = range.lowerBound
    while index < end {
      var (kinds, length) = look(text, index)
      var run = index
      if kinds & 1 == 0 {
        run = index + length
        if kinds & 2 != 0, run < end { (kinds, length) = look(text, run) }
        guard kinds & 1 != 0 else {
          index = run
          continue
        }
      }
      // Behind as many members as there are, or as a match may have.
      var stop = run + length
      var count = 1
      while stop < end, count < counts.upperBound {
        (kinds, length) = look(text, stop)
        guard kinds & 1 != 0 else { break }
        stop += length
        count += 1
      }
      // Too short a run has no match at any of its characters.
      if count >= counts.lowerBound { try body(index..<stop) }
      index = stop
    }
  }

  /// Whether the scalar at `index` is a member (1) or a prefix (2), and its length.
  @inline(__always)
  private func look(
    _ text: UnsafePointer<UInt8>,
    _ index: Int
  ) -> (UInt8, Int) {
    let first = text[index]
    if first < 0x80 { return (ascii[Int(first)], 1) }
    let (scalar, length) = text.wideScalar(at: index)
    let of = categories[scalar]
    return (
      (members.contains(scalar, of) ? 1 : 0) | (prefix?.contains(scalar, of) == true ? 2 : 0),
      length
    )
  }
}
