/// A pseudo-random order of the numbers below a count, of which any part is found at once.
///
/// A Feistel network over the smallest power of two that holds the count, followed until it falls below the
/// count (cycle walking; Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). It needs no memory,
/// and depends on the seed and the count alone: the same on every machine and in every release.
package struct Permutation: Sendable {
  private static let rounds = 8

  private let count: UInt64
  private let lowBits: UInt64
  private let highBits: UInt64
  private let keys: [UInt64]

  /// The order of the numbers from 0 up to, and without, the count.
  package init(count: UInt64, seed: UInt64) {
    precondition(count > 0 && count <= 1 << 62)
    self.count = count
    let bits = max(2, UInt64(UInt64.bitWidth - (count - 1).leadingZeroBitCount))
    lowBits = bits / 2
    highBits = bits - lowBits
    var generator = SplitMix64(seed: seed)
    keys = (0..<Self.rounds).map { _ in generator.next() }
  }

  /// The number at a place.
  package subscript(place: UInt64) -> UInt64 {
    precondition(place < count)
    var value = place
    // Fewer than half of the network's numbers are beyond the count, and the walk is a cycle: it ends.
    repeat { value = encrypt(value) } while value >= count
    return value
  }

  private func encrypt(_ value: UInt64) -> UInt64 {
    let (lowMask, highMask) = ((1 << lowBits) - 1 as UInt64, (1 << highBits) - 1 as UInt64)
    var low = value & lowMask
    var high = value >> lowBits
    for (round, key) in keys.enumerated() {
      if round.isMultiple(of: 2) {
        high ^= SplitMix64.mix(low &+ key) & highMask
      } else {
        low ^= SplitMix64.mix(high &+ key) & lowMask
      }
    }
    return high << lowBits | low
  }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): a generator for seeds and for choices that need no more.
struct SplitMix64 {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// The next 64 bits.
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(state)
  }

  /// A number below the bound, each equally likely (Lemire, 2019).
  mutating func next(below bound: UInt64) -> UInt64 {
    precondition(bound > 0)
    let threshold = (0 &- bound) % bound
    while true {
      let product = next().multipliedFullWidth(by: bound)
      if product.low >= threshold { return product.high }
    }
  }

  /// The finalizer: a bijection that spreads every bit.
  static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
