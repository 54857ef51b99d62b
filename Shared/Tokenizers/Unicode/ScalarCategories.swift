/// The Unicode classes that splitting patterns name, as Oniguruma in Hugging Face `tokenizers`
/// knows them.
struct ScalarCategories: OptionSet, Hashable, Sendable {
  let rawValue: UInt16
  /// Upper and title case letters: Lu and Lt.
  static let upper = ScalarCategories(rawValue: 1)
  /// Lower case letters: Ll.
  static let lower = ScalarCategories(rawValue: 2)
  /// Letters without case: Lm and Lo.
  static let uncased = ScalarCategories(rawValue: 4)
  /// M.
  static let mark = ScalarCategories(rawValue: 8)
  /// Decimal digits: Nd.
  static let digit = ScalarCategories(rawValue: 16)
  /// Numbers that are no digits: Nl and No.
  static let otherNumber = ScalarCategories(rawValue: 32)
  /// `\s`.
  static let whitespace = ScalarCategories(rawValue: 64)
  /// P.
  static let punctuation = ScalarCategories(rawValue: 128)
  /// S.
  static let symbol = ScalarCategories(rawValue: 256)
  /// The script Han, which has letters, numbers and symbols.
  static let han = ScalarCategories(rawValue: 512)
  /// `\w`.
  static let word = ScalarCategories(rawValue: 1_024)

  /// L.
  static let letters: ScalarCategories = [.upper, .lower, .uncased]
  /// N.
  static let numbers: ScalarCategories = [.digit, .otherNumber]

  /// Bits of a set of categories.
  static let bitCount = 11
}

/// The categories of every scalar, two look-ups away.
///
/// Unchecked: what the pointers lead to is written once, before any of them is copied, and is never
/// freed.
struct ScalarCategoryTable: @unchecked Sendable {
  static let shared = ScalarCategoryTable()

  /// Scalars in pages of 256; pages of one value throughout, most of Unicode, are stored once.
  private let pages: UnsafePointer<UInt16>
  private let members: UnsafePointer<UInt16>

  @inline(__always)
  subscript(scalar: UInt32) -> ScalarCategories {
    let page = Int(pages[Int(truncatingIfNeeded: scalar >> 8)])
    return ScalarCategories(rawValue: members[page << 8 | Int(truncatingIfNeeded: scalar & 0xFF)])
  }

  private init() {
    let runs = UnicodeTables.categoryRuns
    let pageCount = 0x110000 >> 8
    var pages: [UInt16] = []
    pages.reserveCapacity(pageCount)
    var members: [UInt16] = []
    var uniform: [UInt16: UInt16] = [:]
    var run = 0
    let mask: UInt32 = 1 << UInt32(ScalarCategories.bitCount) - 1
    for page in 0..<pageCount {
      let last = UInt32(page << 8 | 0xFF)
      let isUniform = run + 1 == runs.count || runs[run + 1] >> 11 > last
      let value = UInt16(runs[run] & mask)
      if isUniform, let known = uniform[value] {
        pages.append(known)
      } else {
        pages.append(UInt16(members.count >> 8))
        if isUniform { uniform[value] = pages[page] }
        for scalar in UInt32(page << 8)...last {
          if run + 1 < runs.count, runs[run + 1] >> 11 <= scalar { run += 1 }
          members.append(UInt16(runs[run] & mask))
        }
      }
      if run + 1 < runs.count, runs[run + 1] >> 11 == last + 1 { run += 1 }
    }
    self.pages = Self.kept(pages)
    self.members = Self.kept(members)
  }

  private static func kept(_ values: [UInt16]) -> UnsafePointer<UInt16> {
    let copy = UnsafeMutablePointer<UInt16>.allocate(capacity: values.count)
    copy.initialize(from: values, count: values.count)
    return UnsafePointer(copy)
  }
}

extension UnsafePointer<UInt8> {
  /// The scalar of UTF-8 that starts at `index`, which is not ASCII, and its length in bytes.
  @inline(__always)
  func wideScalar(at index: Int) -> (value: UInt32, length: Int) {
    let first = UInt32(self[index])
    let second = UInt32(self[index &+ 1] & 0x3F)
    if first < 0xE0 { return ((first & 0x1F) << 6 | second, 2) }
    let third = UInt32(self[index &+ 2] & 0x3F)
    if first < 0xF0 { return ((first & 0x0F) << 12 | second << 6 | third, 3) }
    let fourth = UInt32(self[index &+ 3] & 0x3F)
    return ((first & 0x07) << 18 | second << 12 | third << 6 | fourth, 4)
  }

  /// The scalar of UTF-8 that starts at `index` and its length in bytes.
  @inline(__always)
  func scalar(at index: Int) -> (value: UInt32, length: Int) {
    let first = self[index]
    return first < 0x80 ? (UInt32(first), 1) : wideScalar(at: index)
  }
}
