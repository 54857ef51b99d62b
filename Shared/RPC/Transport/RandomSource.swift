/// Where random numbers come from: the system, or a test that wants the same ones again.
struct RandomSource: RandomNumberGenerator, Sendable {
  /// The system's generator.
  static let system = RandomSource {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }

  private let draw: @Sendable () -> UInt64

  init(_ draw: @escaping @Sendable () -> UInt64) {
    self.draw = draw
  }

  func next() -> UInt64 { draw() }

  /// A number from a range.
  func number(in range: ClosedRange<Double>) -> Double {
    var source = self
    return .random(in: range, using: &source)
  }

  /// A number from a range.
  func number(in range: ClosedRange<Int64>) -> Int64 {
    var source = self
    return .random(in: range, using: &source)
  }
}
