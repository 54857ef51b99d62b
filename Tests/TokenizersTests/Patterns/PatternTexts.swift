/// Random texts that splitting patterns have to tell apart; the same for the same seed.
struct PatternTexts {
  private var state: UInt64
  /// Scalars that are not used.
  private let excluded: Set<UInt32>
  private var bytes: [UInt8] = []

  init(seed: UInt64, excluding excluded: Set<UInt32> = []) {
    state = seed
    self.excluded = excluded
  }

  /// The next text of up to some forty scalars, in UTF-8.
  mutating func next() -> [UInt8] {
    bytes.removeAll(keepingCapacity: true)
    let parts = 1 + number(below: 10)
    for _ in 0..<parts { part() }
    return bytes
  }

  /// SplitMix64.
  private mutating func random() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  private mutating func number(below bound: Int) -> Int { Int(random() % UInt64(bound)) }

  private mutating func add(_ scalar: UInt32) {
    guard !excluded.contains(scalar), let scalar = Unicode.Scalar(scalar) else { return }
    bytes.append(contentsOf: Unicode.UTF8.encode(scalar).map { Array($0) } ?? [])
  }

  private mutating func add(_ text: String) { bytes.append(contentsOf: text.utf8) }

  private mutating func part() {
    switch number(below: 16) {
    case 0, 1: add(Self.words[number(below: Self.words.count)])
    case 2: run(of: Self.ascii, 4)
    case 3: run(of: Self.digits, 6)
    case 4: run(of: Self.punctuation, 4)
    case 5:
      add(number(below: 4) == 0 ? 0x2019 : 0x27)
      add(Self.suffixes[number(below: Self.suffixes.count)])
    case 6: run(of: Self.spaces, 4)
    case 7: run(of: Self.lines, 3)
    case 8: for _ in 0...number(below: 3) { add(0x20) }
    case 9: run(of: Self.letters, 5)
    case 10: run(of: Self.marks, 2)
    case 11: add(Self.emoji[number(below: Self.emoji.count)])
    case 12: run(of: Self.cjk, 4)
    case 13: run(of: Self.odd, 2)
    case 14: for _ in 0...number(below: 3) { add(UInt32(number(below: 0x3100))) }
    default: for _ in 0...number(below: 2) { add(UInt32(number(below: 0x110000))) }
    }
    if number(below: 3) == 0 { add(0x20) }
  }

  private mutating func run(of scalars: [UInt32], _ most: Int) {
    for _ in 0...number(below: most) { add(scalars[number(below: scalars.count)]) }
  }

  private static let words = [
    "the", "Hello", "HTTP", "iPhone", "McDonald", "don", "we", "I", "JSONReader", "x", "Z", "can",
    "nai\u{308}ve", "Stra\u{DF}e", "\u{41F}\u{440}\u{438}\u{432}\u{435}\u{442}", "IMGIMGABZ",
    "\u{397}\u{3AC}", "abcdefgh", "abcdefghij", "ABCDEFGHIJKL", "<sentinel:12>",
  ]
  private static let suffixes = [
    "s", "t", "re", "ve", "m", "ll", "d", "S", "T", "RE", "Ve", "M", "lL", "D", "\u{17F}",
    "\u{15F}",
    "r", "v", "l", "e", "x", "\u{212A}", "se", "sS", "ss", "",
  ]
  private static let ascii = (0x20..<0x7F).map { UInt32($0) }
  private static let digits: [UInt32] =
    (0x30...0x39).map { UInt32($0) } + [0x663, 0x96B, 0x2160, 0xB2, 0xBD, 0x1D7D8, 0x3007, 0x2460]
  private static let punctuation =
    "'\"/.,;:!?-_()[]{}<>|$+=^~`#%&*@\\".unicodeScalars.map(\.value)
    + [0x2019, 0x2026, 0xFF0C, 0x3002, 0xFF01, 0x2014, 0x20AC, 0xAB, 0x964, 0x6D4, 0x60C, 0x203F]
  private static let spaces: [UInt32] = [
    0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20, 0x20, 0x20, 0x85, 0xA0, 0x1680, 0x2000, 0x2003, 0x200A,
    0x2028, 0x2029, 0x202F, 0x205F, 0x3000,
  ]
  private static let lines: [UInt32] = [0x0A, 0x0A, 0x0D, 0x20, 0x09, 0x2F, 0x85, 0x2028]
  private static let letters: [UInt32] = [
    0xE9, 0xC9, 0xAA, 0xB5, 0x1C5, 0x1C8, 0x2B0, 0x2C6, 0x370, 0x3B1, 0x410, 0x430, 0x531, 0x561,
    0x5D0, 0x627, 0x640, 0x905, 0x0E01, 0x10A0, 0x10D0, 0x1E9E, 0x2C7C, 0x2D6F, 0xA640, 0xFB01,
    0x10400, 0x10428, 0x1D400, 0x1E900, 0x1E922, 0x17F, 0x212A, 0x61, 0x41, 0x7A, 0x5A,
  ]
  private static let marks: [UInt32] = [
    0x300, 0x301, 0x308, 0x345, 0x483, 0x488, 0x5B0, 0x64B, 0x903, 0x93F, 0x94D, 0xE31, 0x200D,
    0x20DD, 0x3099, 0xFE0F, 0x1D165, 0x1F3FB,
  ]
  private static let emoji = [
    "\u{1F600}", "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}", "\u{1F1E9}\u{1F1EA}",
    "\u{2764}\u{FE0F}",
    "1\u{FE0F}\u{20E3}", "\u{1F44D}\u{1F3FD}",
  ]
  private static let cjk: [UInt32] = [
    0x4E00, 0x4E2D, 0x6587, 0x9FA5, 0x9FA6, 0x3005, 0x3007, 0x3021, 0x303B, 0x2E80, 0x3042, 0x30A2,
    0x30FC, 0x3105, 0xAC00, 0xD55C, 0x1100, 0x3131, 0xFF21, 0xFF41, 0xFF71, 0x20000, 0xF900, 0x3001,
    0xD7FF,
  ]
  private static let odd: [UInt32] = [
    0x00, 0x01, 0x1C, 0x1F, 0x7F, 0x80, 0xAD, 0x180E, 0x200B, 0x200E, 0x2060, 0xFEFF, 0xFFFD, 0x378,
    0x530, 0xE000, 0xFFFF, 0x10FFFF, 0xE0001, 0x1FFFF, 0x2FE0, 0x17F, 0x212A, 0x130, 0x131,
  ]
}
