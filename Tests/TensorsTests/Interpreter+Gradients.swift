import Foundation
import Tensors

extension Interpreter {
  /// The operations of the reverse pass.
  func gradient(_ node: Node) -> Grid {
    let (rows, columns) = (self.rows(node), node.shape.columns)
    func x(_ index: Int) -> Grid { grid(node, index) }
    switch node.operation {
    case .matmulTransposed: return x(0).transposed.times(x(1))
    case .sumRows: return Grid(rows, columns, x(0).rowSum)
    case .accumulate: return x(0)
    case .embeddingGradient:
      var out = Grid(zeros: rows, columns)
      for (row, id) in ids(node.inputs[1]).enumerated() {
        for column in 0..<columns { out[Int(id), column] += x(0)[row, column] }
      }
      return out
    case .normGradient(let norm): return normGradient(x(0), x(1), weight: x(2), norm)
    case .normWeightGradient(let norm):
      return Grid(rows, columns, x(0).zip(normalized(x(1), norm).0, *).rowSum)
    case .siluGradient:
      let slope = x(1).map { value in
        let s = 1 / (1 + exp(-value))
        return s * (1 + value * (1 - s))
      }
      let product = x(0).zip(slope, *)
      return node.inputs.count > 2 ? product.zip(x(2), *) : product
    case .geluGradient:
      return x(0).zip(x(1)) { g, x in
        g
          * (0.5 * (1 + erf(x / 2.0.squareRoot())) + x * exp(-x * x / 2)
            / (2 * Double.pi).squareRoot())
      }
    case .tanhGradient: return x(0).zip(x(1)) { $0 * (1 - $1 * $1) }
    case .softmaxGradient:
      return x(0).mapRows { row, g in
        let y = x(1).row(row)
        let sum = zip(g, y).reduce(0) { $0 + $1.0 * $1.1 }
        return g.indices.map { y[$0] * (g[$0] - sum) }
      }
    case .sliceRowsGradient(let range):
      var out = Grid(zeros: rows, columns)
      for row in range { for i in 0..<columns { out[row, i] = x(0)[row - range.lowerBound, i] } }
      return out
    case .lastRowGradient:
      var out = Grid(zeros: rows, columns)
      for i in 0..<columns { out[rows - 1, i] = x(0)[0, i] }
      return out
    case .sliceColumnsGradient(let range):
      var out = Grid(zeros: rows, columns)
      for row in 0..<rows { for i in range { out[row, i] = x(0)[row, i - range.lowerBound] } }
      return out
    case .packedAttentionGradient(let attention): return attentionGradient(node, attention)
    case .crossEntropyGradient:
      let labels = ids(node.inputs[2])
      let scale = x(0)[0, 0] * x(3)[0, 0]
      return x(1).mapRows { row, logits in
        guard labels[row] != Graph.ignoredLabel else { return logits.map { _ in 0 } }
        return Reference.softmax(logits).enumerated().map { index, p in
          scale * (p - (index == Int(labels[row]) ? 1 : 0))
        }
      }
    default: preconditionFailure("the interpreter does not know \(node.operation.name)")
    }
  }

  private func normGradient(_ g: Grid, _ x: Grid, weight: Grid, _ norm: Norm) -> Grid {
    let (normal, scales) = normalized(x, norm)
    return g.mapRows { row, values in
      let (n, count) = (normal.row(row), Double(values.count))
      let h = values.indices.map { values[$0] * weight.values[$0] }
      let mean = norm.isCentered ? h.reduce(0, +) / count : 0
      let slope = zip(h, n).reduce(0) { $0 + $1.0 * $1.1 } / count
      return h.indices.map { scales[row] * (h[$0] - mean - n[$0] * slope) }
    }
  }

  // MARK: Attention

  /// One row of one head: what it sees, and with which weights before and after dropout.
  private struct Attended {
    let row: Int
    let head: Int
    let kvHead: Int
    let positions: Range<Int>
    let probabilities: [Double]
    let masks: [Double]
  }

  private func forEachAttended(
    _ inputs: [Value],
    _ attention: PackedAttention,
    _ body: (Attended) -> Void
  ) {
    let (q, keys) = (values[inputs[0].index], values[inputs[1].index])
    let (starts, ends) = (ids(inputs[3]), ids(inputs[4]))
    let headDim = q.columns / attention.heads
    for row in 0..<q.rows {
      let first = Int(starts[row])
      let positions = first..<(attention.isCausal ? row + 1 : Int(ends[row]))
      for head in 0..<attention.heads {
        let kvHead = head / (attention.heads / attention.kvHeads)
        let scores = positions.map { position in
          (0..<headDim).reduce(0.0) {
            $0 + q[row, head * headDim + $1] * keys[position, kvHead * headDim + $1]
          } / Double(headDim).squareRoot()
        }
        let masks = positions.map { position in
          attention.dropout.map {
            mask($0, seed: inputs[5], row: row * attention.heads + head, column: position - first)
          } ?? 1
        }
        body(
          Attended(
            row: row,
            head: head,
            kvHead: kvHead,
            positions: positions,
            probabilities: Reference.softmax(scores),
            masks: masks
          )
        )
      }
    }
  }

  func attended(_ node: Node, _ attention: PackedAttention) -> Grid {
    let values = grid(node, 2)
    let headDim = node.shape.columns / attention.heads
    var out = Grid(zeros: rows(node), node.shape.columns)
    forEachAttended(node.inputs, attention) { seen in
      for (index, position) in seen.positions.enumerated() {
        let weight = seen.probabilities[index] * seen.masks[index]
        for i in 0..<headDim {
          out[seen.row, seen.head * headDim + i] +=
            weight * values[position, seen.kvHead * headDim + i]
        }
      }
    }
    return out
  }

  private func attentionGradient(_ node: Node, _ attention: PackedAttention) -> Grid {
    let inputs = Array(node.inputs.dropFirst())
    let (g, q, keys, values) = (grid(node, 0), grid(node, 1), grid(node, 2), grid(node, 3))
    let headDim = g.columns / attention.heads
    let scale = 1 / Double(headDim).squareRoot()
    var out = Grid(zeros: rows(node), node.shape.columns)
    forEachAttended(inputs, attention) { seen in
      let (head, kvHead) = (seen.head * headDim, seen.kvHead * headDim)
      let dKeys = attention.heads * headDim + kvHead
      let dValues = (attention.heads + attention.kvHeads) * headDim + kvHead
      let dp = seen.positions.enumerated().map { index, position in
        seen.masks[index]
          * (0..<headDim).reduce(0.0) {
            $0 + g[seen.row, head + $1] * values[position, kvHead + $1]
          }
      }
      let sum = zip(dp, seen.probabilities).reduce(0) { $0 + $1.0 * $1.1 }
      for (index, position) in seen.positions.enumerated() {
        let p = seen.probabilities[index]
        let ds = p * (dp[index] - sum) * scale
        for i in 0..<headDim {
          out[seen.row, head + i] += ds * keys[position, kvHead + i]
          out[position, dKeys + i] += ds * q[seen.row, head + i]
          out[position, dValues + i] += p * seen.masks[index] * g[seen.row, head + i]
        }
      }
    }
    return out
  }
}
