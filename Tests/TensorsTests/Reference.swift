import Foundation

/// The operations in double precision, written for clarity alone.
enum Reference {
  /// x `[rows, k]` times the transpose of weight `[n, k]`, plus bias `[n]`.
  static func linear(_ x: Matrix, _ weight: Matrix, bias: [Float]?) -> [Double] {
    var out: [Double] = []
    for row in 0..<x.rows {
      for n in 0..<weight.rows {
        var sum = bias.map { Double($0[n]) } ?? 0
        for k in 0..<x.columns { sum += x[row, k] * weight[n, k] }
        out.append(sum)
      }
    }
    return out
  }

  static func matmul(_ lhs: Matrix, _ rhs: Matrix) -> [Double] {
    var out: [Double] = []
    for row in 0..<lhs.rows {
      for n in 0..<rhs.columns {
        out.append((0..<lhs.columns).reduce(0) { $0 + lhs[row, $1] * rhs[$1, n] })
      }
    }
    return out
  }

  static func rmsNorm(_ x: Matrix, _ weight: [Float], epsilon: Double) -> [Double] {
    perRow(x) { row in
      let mean = row.reduce(0) { $0 + $1 * $1 } / Double(row.count)
      return row.indices.map { row[$0] / (mean + epsilon).squareRoot() * Double(weight[$0]) }
    }
  }

  static func layerNorm(
    _ x: Matrix,
    _ weight: [Float],
    _ bias: [Float],
    epsilon: Double
  ) -> [Double] {
    perRow(x) { row in
      let mean = row.reduce(0, +) / Double(row.count)
      let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
      return row.indices.map {
        (row[$0] - mean) / (variance + epsilon).squareRoot() * Double(weight[$0])
          + Double(bias[$0])
      }
    }
  }

  static func softmax(_ row: [Double]) -> [Double] {
    let maximum = row.max() ?? 0
    let exponentials = row.map { exp($0 - maximum) }
    let sum = exponentials.reduce(0, +)
    return exponentials.map { $0 / sum }
  }

  static func silu(_ x: Double) -> Double { x / (1 + exp(-x)) }

  static func gelu(_ x: Double) -> Double { 0.5 * x * (1 + erf(x / 2.0.squareRoot())) }

  /// Pairs element i with i + headDim/2 in each head, as Hugging Face's `rotate_half`.
  static func rope(
    _ x: Matrix,
    positions: [UInt32],
    frequencies: [Float],
    heads: Int
  ) -> [Double] {
    let half = frequencies.count
    var out: [Double] = []
    for row in 0..<x.rows {
      for head in 0..<heads {
        for element in 0..<2 * half {
          let pair = element % half
          let angle = Double(positions[row]) * Double(frequencies[pair])
          let (first, second) = (
            x[row, head * 2 * half + pair], x[row, head * 2 * half + half + pair]
          )
          out.append(
            element < half
              ? first * cos(angle) - second * sin(angle)
              : second * cos(angle) + first * sin(angle)
          )
        }
      }
    }
    return out
  }

  /// q `[rows, heads*headDim]` to keys and values `[positions, kvHeads*headDim]`; causal rows see
  /// the `past` positions and those up to their own.
  static func attention(
    q: Matrix,
    keys: Matrix,
    values: Matrix,
    heads: Int,
    kvHeads: Int,
    past: Int?
  ) -> [Double] {
    let headDim = q.columns / heads
    var out = [Double](repeating: 0, count: q.rows * q.columns)
    for row in 0..<q.rows {
      for head in 0..<heads {
        let kvHead = head / (heads / kvHeads)
        let visible = past.map { $0 + row + 1 } ?? keys.rows
        let scores = (0..<visible).map { position in
          (0..<headDim).reduce(0.0) {
            $0 + q[row, head * headDim + $1] * keys[position, kvHead * headDim + $1]
          } / Double(headDim).squareRoot()
        }
        for (position, weight) in softmax(scores).enumerated() {
          for element in 0..<headDim {
            out[row * q.columns + head * headDim + element] +=
              weight * values[position, kvHead * headDim + element]
          }
        }
      }
    }
    return out
  }

  static func perRow(_ x: Matrix, _ body: ([Double]) -> [Double]) -> [Double] {
    (0..<x.rows).flatMap { row in body((0..<x.columns).map { x[row, $0] }) }
  }
}
