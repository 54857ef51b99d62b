/// Random numbers that depend on the seed, a purpose and a number alone: SplitMix64 of Steele, Lea
/// and Flood, "Fast splittable pseudorandom number generators", 2014.
///
/// A run keeps no random state: what an epoch or a step needs is computed from its number, so that
/// a resumed run goes on with the same numbers.
struct RandomStream: Sendable {
  /// What numbers are for; two purposes share none.
  enum Purpose: UInt64, Sendable {
    case order = 1
    case lengthNoise
    case batchOrder
    case conversations
    case variation
    case dropout
  }

  private var state: UInt64

  init(seed: UInt64, _ purpose: Purpose, _ number: UInt64) {
    state = Self.mixed(Self.mixed(seed) ^ Self.mixed(purpose.rawValue << 56 ^ number))
  }

  /// The next 64 random bits.
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.finalized(state)
  }

  /// A number in `0..<1` of 53 random bits.
  mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// A number in `0..<bound`; the bias of at most bound / 2^64 does not matter here.
  mutating func next(below bound: Int) -> Int {
    precondition(bound > 0)
    return Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// Puts `elements` in random order (Fisher and Yates).
  mutating func shuffle<Element>(_ elements: inout [Element]) {
    for index in stride(from: elements.count - 1, to: 0, by: -1) {
      elements.swapAt(index, next(below: index + 1))
    }
  }

  private static func mixed(_ value: UInt64) -> UInt64 {
    finalized(value &+ 0x9E37_79B9_7F4A_7C15)
  }

  private static func finalized(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
