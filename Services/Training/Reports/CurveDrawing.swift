/// Lays out a learning curve and writes it as SVG.
struct CurveDrawing {
  private let curve: LearningCurve
  private let series: [LearningCurve.Series]
  private let x: AxisTicks
  private let loss: AxisTicks?
  private let metric: AxisTicks?

  private static let width = 760.0
  private static let height = 420.0
  private static let left = 64.0
  private static let right = 64.0
  private static let bottom = 52.0
  /// Legend entries side by side.
  private static let legendColumns = 4
  private static let legendRowHeight = 14.0

  /// Where the plot begins, below heading, legend and the names of the axes.
  private var top: Double {
    let rows = (series.count + Self.legendColumns - 1) / Self.legendColumns
    return 58 + Self.legendRowHeight * Double(max(1, rows))
  }

  init(_ curve: LearningCurve) {
    self.curve = curve
    series = curve.series.prefix(ReportLimits.curvesMax).map {
      LearningCurve.Series(name: $0.name, axis: $0.axis, points: Self.thinned($0.points))
    }
    let finite = series.flatMap { series in
      series.points.filter { $0.x.isFinite && $0.y.isFinite }.map { (series.axis, $0) }
    }
    x = AxisTicks(finite.map { $0.1.x }, count: 8)
    func ticks(_ axis: LearningCurve.Axis) -> AxisTicks? {
      let values = finite.filter { $0.0 == axis }.map { $0.1.y }
      return values.isEmpty ? nil : AxisTicks(values)
    }
    loss = ticks(.loss)
    metric = ticks(.metric)
  }

  /// At most `ReportLimits.curvePointsMax` points.
  ///
  /// Of each stretch the lowest and the highest stay, so that peaks do. Points that are not finite are kept one per stretch, to interrupt the curve.
  static func thinned(_ points: [LearningCurve.Point]) -> [LearningCurve.Point] {
    guard points.count > ReportLimits.curvePointsMax else { return points }
    let stretches = ReportLimits.curvePointsMax / 3
    var kept: [LearningCurve.Point] = []
    for stretch in 0..<stretches {
      let range =
        stretch * points.count / stretches..<(stretch + 1) * points.count / stretches
      let finite = range.filter { points[$0].x.isFinite && points[$0].y.isFinite }
      let extremes = [
        finite.min { points[$0].y < points[$1].y },
        finite.max { points[$0].y < points[$1].y },
        range.first { !points[$0].x.isFinite || !points[$0].y.isFinite },
      ]
      kept += Set(extremes.compactMap { $0 }).sorted().map { points[$0] }
    }
    return kept
  }

  var svg: String {
    let frame = "\(Self.width.short) \(Self.height.short)"
    let body = [heading, grid, axes, curves, legend].joined(separator: "\n")
    return """
      <svg class="learning-curve" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(frame)" role="img">
      <title>\(curve.title.escapedForXML)</title>
      \(Self.style)
      \(body)
      </svg>

      """
  }

  /// Colors that can be told apart by people with any color vision (Okabe and Ito), a little
  /// lighter on dark ground.
  private static let lightColors = [
    "#0072b2", "#d55e00", "#009e73", "#aa4499", "#8c6d00", "#555555", "#3b8fc2", "#882255",
  ]
  private static let darkColors = [
    "#56b4e9", "#f28e2b", "#2fc79a", "#e79ac7", "#f0e442", "#bbbbbb", "#9ad0f5", "#dd7799",
  ]

  /// Every rule names the drawing's class: the style of an SVG within a page holds for all of it.
  private static let style: String = {
    func rules(_ rules: [(String, String)]) -> String {
      rules.map { ".learning-curve \($0){\($1)}" }.joined()
    }
    func scheme(_ colors: [String], text: String, line: String) -> String {
      let plain = [
        ("text", "fill:\(text)"), (".grid", "stroke:\(line)"), (".axis", "stroke:\(line)"),
      ]
      return rules(plain + colors.enumerated().map { (".c\($0.offset)", "stroke:\($0.element)") })
    }
    let shapes = rules([
      ("text", "font:12px system-ui,sans-serif"), (".title", "font-size:15px;font-weight:600"),
      (".grid", "stroke-opacity:.35"),
      (".curve", "fill:none;stroke-width:2;stroke-linejoin:round"),
      (".metric", "stroke-dasharray:6 3"),
    ])
    return """
      <style>
      \(shapes)
      \(scheme(lightColors, text: "#222", line: "#888"))
      @media(prefers-color-scheme:dark){\(scheme(darkColors, text: "#ddd", line: "#999"))}
      </style>
      """
  }()

  private func text(
    _ content: String,
    _ x: Double,
    _ y: Double,
    anchor: String = "start",
    attributes: String = ""
  ) -> String {
    """
    <text x="\(x.short)" y="\(y.short)" text-anchor="\(anchor)"\(attributes)>\
    \(content.escapedForXML)</text>
    """
  }

  private func line(
    _ from: (x: Double, y: Double),
    _ to: (x: Double, y: Double),
    _ kind: String
  ) -> String {
    """
    <line class="\(kind)" x1="\(from.x.short)" y1="\(from.y.short)" x2="\(to.x.short)" \
    y2="\(to.y.short)"/>
    """
  }

  private var heading: String {
    text(curve.title, Self.left, 24, attributes: " class=\"title\"")
  }

  private func position(x value: Double) -> Double {
    let share = (value - x.lower) / (x.upper - x.lower)
    return Self.left + share * (Self.width - Self.left - Self.right)
  }

  private func position(y value: Double, _ ticks: AxisTicks) -> Double {
    let share = (value - ticks.lower) / (ticks.upper - ticks.lower)
    return Self.height - Self.bottom - share * (Self.height - top - Self.bottom)
  }

  private var grid: String {
    guard let ticks = loss ?? metric else { return "" }
    return ticks.values.map { value in
      let y = position(y: value, ticks)
      return line((Self.left, y), (Self.width - Self.right, y), "grid")
    }.joined(separator: "\n")
  }

  private var axes: String {
    let floor = Self.height - Self.bottom
    let end = Self.width - Self.right
    var parts = [line((Self.left, floor), (end, floor), "axis")]
    for value in x.values {
      let place = position(x: value)
      parts.append(line((place, floor), (place, floor + 5), "axis"))
      parts.append(text(x.label(value), place, floor + 19, anchor: "middle"))
    }
    parts.append(text(curve.xName, (Self.left + end) / 2, Self.height - 12, anchor: "middle"))
    parts += vertical(loss, at: Self.left, outward: -1, name: "loss")
    parts += vertical(metric, at: end, outward: 1, name: "metric")
    return parts.joined(separator: "\n")
  }

  /// A vertical axis whose ticks point to the left (`outward` -1) or to the right (1).
  private func vertical(
    _ ticks: AxisTicks?,
    at place: Double,
    outward: Double,
    name: String
  ) -> [String] {
    guard let ticks else { return [] }
    var parts = [line((place, top), (place, Self.height - Self.bottom), "axis")]
    for value in ticks.values {
      let y = position(y: value, ticks)
      parts.append(line((place, y), (place + 5 * outward, y), "axis"))
      let anchor = outward < 0 ? "end" : "start"
      parts.append(text(ticks.label(value), place + 8 * outward, y + 4, anchor: anchor))
    }
    parts.append(text(name, place, top - 10, anchor: "middle"))
    return parts
  }

  private var curves: String {
    series.enumerated().map { index, series in
      guard let ticks = series.axis == .loss ? loss : metric else { return "" }
      var path = ""
      var isDown = false
      var last: (Double, Double)?
      for point in series.points {
        guard point.x.isFinite, point.y.isFinite else {
          isDown = false
          continue
        }
        let place = (position(x: point.x), position(y: point.y, ticks))
        path += "\(isDown ? "L" : "M")\(place.0.short) \(place.1.short)"
        isDown = true
        last = place
      }
      guard let last else { return "" }
      // A curve of one point would be invisible without its dot.
      return """
        <path class="curve \(kind(series, index))" d="\(path)"/>
        <circle class="\(color(index))" cx="\(last.0.short)" cy="\(last.1.short)" r="2" fill="none"/>
        """
    }.joined(separator: "\n")
  }

  private func color(_ index: Int) -> String { "c\(index % Self.lightColors.count)" }

  private func kind(_ series: LearningCurve.Series, _ index: Int) -> String {
    series.axis == .metric ? "\(color(index)) metric" : color(index)
  }

  private var legend: String {
    let column = (Self.width - Self.left - Self.right) / Double(Self.legendColumns)
    return series.enumerated().map { index, series in
      let x = Self.left + column * Double(index % Self.legendColumns)
      let y = 42 + Self.legendRowHeight * Double(index / Self.legendColumns)
      return """
        <path class="curve \(kind(series, index))" d="M\(x.short) \((y - 4).short)h22"/>
        \(text(series.name.excerpt, x + 28, y))
        """
    }.joined(separator: "\n")
  }
}

extension Double {
  /// With at most two decimal places.
  fileprivate var short: String {
    let text = fixed(2)
    return text.hasSuffix(".00") ? String(text.dropLast(3)) : text
  }
}

extension String {
  /// As much of a name as fits into the legend.
  fileprivate var excerpt: String {
    let lengthMax = 20
    return count <= lengthMax ? self : String(prefix(lengthMax - 1)) + "…"
  }

  /// Safe as text and in attributes of XML; characters that XML does not allow are replaced.
  var escapedForXML: String {
    var result = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      case "\t", "\n", "\r": result += " "
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{FFFE}", "\u{FFFF}": result += "\u{FFFD}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
