/// Losses and metrics over steps or epochs, drawn as an SVG.
///
/// Losses have the axis on the left, metrics the one on the right. The drawing follows the dark or
/// light scheme of the page that shows it and needs nothing from outside.
package struct LearningCurve: Sendable, Equatable, Codable {
  /// A measurement.
  package struct Point: Sendable, Equatable, Codable {
    /// The step or epoch.
    package var x: Double
    /// The value; one that is not finite interrupts the curve.
    package var y: Double

    /// Makes a point.
    package init(x: Double, y: Double) {
      self.x = x
      self.y = y
    }
  }

  /// Which axis a curve is read on.
  package enum Axis: String, Sendable, Codable {
    /// On the left.
    case loss
    /// On the right.
    case metric
  }

  /// One curve.
  package struct Series: Sendable, Equatable, Codable {
    /// What the legend calls it, for example "train loss".
    package var name: String
    /// Its axis.
    package var axis: Axis
    /// The measurements in the order of `x`.
    package var points: [Point]

    /// Makes a curve.
    package init(name: String, axis: Axis, points: [Point]) {
      self.name = name
      self.axis = axis
      self.points = points
    }
  }

  /// The heading.
  package var title: String
  /// What `x` counts: "step" or "epoch".
  package var xName: String
  /// The curves; the first `ReportLimits.curvesMax` are drawn.
  package var series: [Series]

  /// Makes a drawing.
  package init(title: String, xName: String, series: [Series]) {
    self.title = title
    self.xName = xName
    self.series = series
  }

  /// The drawing.
  package var svg: String { CurveDrawing(self).svg }
}

/// Round numbers along an axis.
struct AxisTicks: Equatable {
  /// The first tick and the last one; the axis goes from one to the other.
  let lower: Double
  let upper: Double
  let step: Double
  /// Decimal places that tell the ticks apart.
  let digits: Int

  /// Ticks of 1, 2 or 5 times a power of ten that enclose `values`, about `count` of them.
  init(_ values: [Double], count: Int = 5) {
    var low = values.min() ?? 0
    var high = values.max() ?? 1
    // A flat curve has an axis too, and ticks that seven digits tell apart.
    let span = max(high - low, max(abs(low), abs(high)) * 1e-4, 1e-12)
    if high - low < span {
      low -= span / 2
      high += span / 2
    }
    var power = 0
    var unit = 1.0
    let raw = (high - low) / Double(count)
    while unit * 10 <= raw, power < 308 { (unit, power) = (unit * 10, power + 1) }
    while unit > raw, power > -300 { (unit, power) = (unit / 10, power - 1) }
    let factor = [1.0, 2, 5].first { unit * $0 >= raw } ?? 10
    step = unit * factor
    lower = (low / step).rounded(.down) * step
    upper = (high / step).rounded(.up) * step
    digits = max(0, factor == 10 ? -power - 1 : -power)
  }

  /// The ticks.
  var values: [Double] {
    let count = min(Int(((upper - lower) / step).rounded()), 20)
    return (0...max(count, 1)).map { lower + Double($0) * step }
  }

  /// A tick as text.
  func label(_ value: Double) -> String {
    // -0.0 is written without its sign.
    let value = abs(value) < step / 2 ? 0 : value
    return abs(value) >= 1e7 || digits > 6 ? value.significant(7) : value.fixed(digits)
  }
}
