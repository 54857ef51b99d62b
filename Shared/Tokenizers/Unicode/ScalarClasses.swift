/// What the components need to know of a Unicode scalar, one table look-up away.
struct ScalarClasses: Sendable {
  /// A set of classes.
  struct Members: OptionSet, Sendable {
    let rawValue: UInt8
    static let letter = Members(rawValue: 1)
    static let number = Members(rawValue: 2)
    static let whitespace = Members(rawValue: 4)
    static let punctuation = Members(rawValue: 8)
    /// Dropped by BertNormalizer's `clean_text`.
    static let removed = Members(rawValue: 16)
    /// An accent, dropped by stripping (category Mn).
    static let mark = Members(rawValue: 32)
    /// NFD may change it or move it: it decomposes, or has a combining class.
    static let decomposes = Members(rawValue: 64)
    /// Lower case differs.
    static let lowers = Members(rawValue: 128)
  }

  static let shared = ScalarClasses()

  /// Two levels: scalars in pages of 256, equal pages stored once.
  private let pages: [UInt16]
  private let members: [UInt8]

  subscript(scalar: UInt32) -> Members {
    Members(rawValue: members[Int(pages[Int(scalar >> 8)]) << 8 | Int(scalar & 0xFF)])
  }

  private init() {
    var flat = [UInt8](repeating: 0, count: 0x110000)
    func mark(_ ranges: [UInt32], stride: Int, _ value: Members) {
      for i in Swift.stride(from: 0, to: ranges.count, by: stride) {
        let last = stride > 3 ? ranges[i] : ranges[i + 1]
        for scalar in Int(ranges[i])...Int(last) { flat[scalar] |= value.rawValue }
      }
    }
    mark(UnicodeTables.letters, stride: 2, .letter)
    mark(UnicodeTables.numbers, stride: 2, .number)
    mark(UnicodeTables.whitespace, stride: 2, .whitespace)
    mark(UnicodeTables.punctuation, stride: 2, .punctuation)
    mark(UnicodeTables.removedByCleaning, stride: 2, .removed)
    mark(UnicodeTables.nonspacingMarks, stride: 2, .mark)
    mark(UnicodeTables.combiningClasses, stride: 3, .decomposes)
    mark(UnicodeTables.decompositions, stride: 5, .decomposes)
    for i in stride(from: 0, to: UnicodeTables.lowercase.count, by: 3) {
      flat[Int(UnicodeTables.lowercase[i])] |= Members.lowers.rawValue
    }
    for scalar in CanonicalDecomposition.hangul {
      flat[Int(scalar)] |= Members.decomposes.rawValue
    }

    var pages: [UInt16] = []
    var members: [UInt8] = []
    var known: [[UInt8]: UInt16] = [:]
    for start in stride(from: 0, to: flat.count, by: 256) {
      let page = Array(flat[start..<start + 256])
      if let index = known[page] {
        pages.append(index)
      } else {
        let index = UInt16(members.count >> 8)
        known[page] = index
        pages.append(index)
        members.append(contentsOf: page)
      }
    }
    self.pages = pages
    self.members = members
  }
}
