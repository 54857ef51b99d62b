import Tensors

/// Finds how far to go along a direction so that the strong Wolfe conditions hold: the loss falls
/// enough (c1) and the slope flattens enough (c2).
///
/// Brackets such a length, then zooms in by cubic interpolation; the steps are those of
/// `torch.optim.lbfgs._strong_wolfe`, after Nocedal and Wright, algorithms 3.5 and 3.6.
struct StrongWolfeSearch {
  typealias Vector = FlatVectors.Vector

  /// What is known at a length along the direction.
  struct Point {
    var length: Double
    var loss: Double
    var gradient: Vector
    /// The derivative of the loss along the direction.
    var slope: Double
  }

  /// The share of the first slope by which the loss must fall.
  static let c1 = 1e-4
  /// The share of the first slope that may be left.
  static let c2 = 0.9

  private let optimizer: LBFGS
  private let closure: LBFGS.Closure
  /// Where the search starts; parameters are there between evaluations.
  private let origin: Vector
  private let directionMax: Double
  /// Evaluations so far.
  private(set) var evaluations = 0

  private var vectors: FlatVectors { optimizer.vectors }
  private var direction: Vector { optimizer.memory.direction }

  init(_ optimizer: LBFGS, _ closure: @escaping LBFGS.Closure) throws(OptimizerError) {
    self.optimizer = optimizer
    self.closure = closure
    origin = try optimizer.vectors.make()
    optimizer.vectors.gatherParameters(to: origin)
    directionMax = optimizer.vectors.maxMagnitude(optimizer.memory.direction)
  }

  /// Searches from `start`, whose length is the first to try and whose loss, gradient and slope are
  /// those at length 0.
  mutating func run(from start: Point, evaluationsMax: Int) throws -> Point {
    var origin = start
    origin.length = 0
    let current = try evaluate(at: start.length)
    var iterations = 0
    var (bracket, isDone) = try bracket(origin, current, evaluationsMax, &iterations)
    if !isDone { try zoom(&bracket, origin, evaluationsMax, iterations) }
    return bracket.low
  }

  /// Two points with an acceptable length between them; `low` has the lower loss.
  private struct Bracket {
    var low: Point
    var high: Point

    /// Of equal losses the one that is named first counts as the lower.
    init(_ first: Point, _ second: Point) {
      (low, high) = first.loss <= second.loss ? (first, second) : (second, first)
    }

    var shortest: Double { min(low.length, high.length) }
    var longest: Double { max(low.length, high.length) }
  }

  private mutating func evaluate(at length: Double) throws -> Point {
    let gradient = try vectors.make()
    vectors.moveParameters(along: direction, by: length)
    let loss = try optimizer.evaluate(closure, gradient)
    vectors.setParameters(to: origin)
    evaluations += 1
    return Point(
      length: length,
      // Where there is no loss the search must turn back.
      loss: loss.isNaN ? .infinity : loss,
      gradient: gradient,
      slope: vectors.dot(gradient, direction)
    )
  }

  /// Whether the loss falls too little up to `point`.
  private func isTooHigh(_ point: Point, _ origin: Point) -> Bool {
    point.loss > origin.loss + Self.c1 * point.length * origin.slope
  }

  private func isFlat(_ point: Point, _ origin: Point) -> Bool {
    abs(point.slope) <= -Self.c2 * origin.slope
  }

  private mutating func bracket(
    _ origin: Point,
    _ first: Point,
    _ evaluationsMax: Int,
    _ iterations: inout Int
  ) throws -> (Bracket, isDone: Bool) {
    var previous = origin
    var current = first
    while iterations < evaluationsMax {
      if isTooHigh(current, origin) || (iterations > 1 && current.loss >= previous.loss) {
        return (Bracket(previous, current), false)
      }
      if isFlat(current, origin) { return (Bracket(current, current), true) }
      if current.slope >= 0 { return (Bracket(previous, current), false) }
      let next = Self.cubicMinimum(
        previous,
        current,
        in: current.length + 0.01 * (current.length - previous.length)...current.length * 10
      )
      previous = current
      current = try evaluate(at: next)
      iterations += 1
    }
    return (Bracket(origin, current), true)
  }

  private mutating func zoom(
    _ bracket: inout Bracket,
    _ origin: Point,
    _ evaluationsMax: Int,
    _ bracketing: Int
  ) throws {
    var iterations = bracketing
    var isStalled = false
    // Which of the two was found first matters for equal losses and for the interpolation.
    var isLowFirst = bracket.low.length <= bracket.high.length
    while iterations < evaluationsMax {
      let width = bracket.longest - bracket.shortest
      if width * directionMax < optimizer.options.changeTolerance { return }
      let (first, second) =
        isLowFirst ? (bracket.low, bracket.high) : (bracket.high, bracket.low)
      var length = Self.cubicMinimum(first, second, in: bracket.shortest...bracket.longest)
      // A length at the edge of the bracket makes little progress; the second time it is moved in.
      let margin = 0.1 * width
      if min(bracket.longest - length, length - bracket.shortest) < margin {
        if isStalled || length >= bracket.longest || length <= bracket.shortest {
          length =
            abs(length - bracket.longest) < abs(length - bracket.shortest)
            ? bracket.longest - margin : bracket.shortest + margin
          isStalled = false
        } else {
          isStalled = true
        }
      } else {
        isStalled = false
      }
      let point = try evaluate(at: length)
      iterations += 1
      if isTooHigh(point, origin) || point.loss >= bracket.low.loss {
        // The new point takes the place of the high one.
        let (first, second) = isLowFirst ? (bracket.low, point) : (point, bracket.low)
        bracket = Bracket(first, second)
        isLowFirst = first.loss <= second.loss
      } else {
        let isDone = isFlat(point, origin)
        if !isDone, point.slope * (bracket.high.length - bracket.low.length) >= 0 {
          bracket.high = bracket.low
        }
        bracket.low = point
        if isDone { return }
      }
    }
  }

  /// Where the cubic through two points and their slopes is least, within `bounds`; the middle of
  /// them if it has no minimum.
  static func cubicMinimum(_ a: Point, _ b: Point, in bounds: ClosedRange<Double>) -> Double {
    let d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.length - b.length)
    let square = d1 * d1 - a.slope * b.slope
    guard square >= 0 else { return (bounds.lowerBound + bounds.upperBound) / 2 }
    let d2 = square.squareRoot()
    let (near, far) = a.length <= b.length ? (a, b) : (b, a)
    let minimum =
      far.length - (far.length - near.length)
      * ((far.slope + d2 - d1) / (far.slope - near.slope + 2 * d2))
    guard !minimum.isNaN else { return (bounds.lowerBound + bounds.upperBound) / 2 }
    return min(max(minimum, bounds.lowerBound), bounds.upperBound)
  }
}
