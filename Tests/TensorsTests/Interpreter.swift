import Foundation
import Tensors

/// A matrix in double precision, row-major.
struct Grid {
  var rows: Int
  var columns: Int
  var values: [Double]

  init(_ rows: Int, _ columns: Int, _ values: [Double]) {
    precondition(values.count == rows * columns)
    (self.rows, self.columns, self.values) = (rows, columns, values)
  }

  init(zeros rows: Int, _ columns: Int) {
    self.init(rows, columns, [Double](repeating: 0, count: rows * columns))
  }

  subscript(row: Int, column: Int) -> Double {
    get { values[row * columns + column] }
    set { values[row * columns + column] = newValue }
  }

  func row(_ index: Int) -> [Double] { Array(values[index * columns..<(index + 1) * columns]) }

  func map(_ body: (Double) -> Double) -> Grid { Grid(rows, columns, values.map(body)) }

  func zip(_ other: Grid, _ body: (Double, Double) -> Double) -> Grid {
    Grid(
      rows,
      columns,
      values.indices.map { body(values[$0], other.values[$0 % other.values.count]) }
    )
  }

  func mapRows(_ body: (Int, [Double]) -> [Double]) -> Grid {
    Grid(rows, columns, (0..<rows).flatMap { body($0, row($0)) })
  }

  /// This times `other`.
  func times(_ other: Grid) -> Grid {
    var out = Grid(zeros: rows, other.columns)
    for i in 0..<rows {
      for p in 0..<columns {
        for j in 0..<other.columns { out[i, j] += self[i, p] * other[p, j] }
      }
    }
    return out
  }

  var transposed: Grid {
    var out = Grid(zeros: columns, rows)
    for i in 0..<rows { for j in 0..<columns { out[j, i] = self[i, j] } }
    return out
  }

  var rowSum: [Double] {
    (0..<columns).map { column in (0..<rows).reduce(0) { $0 + self[$1, column] } }
  }
}

/// Runs a graph in double precision: one scalar loop per operation, written for clarity alone.
///
/// Independent of the executor: it shares nothing with it but the graph.
struct Interpreter {
  let graph: Graph
  let liveRows: Int
  let selectedRows: Int
  /// By constant index.
  var constants: [[Double]]
  /// By input index; empty for integers.
  var floats: [[Double]]
  let integers: [Int: [UInt32]]
  /// By node; empty until the run.
  private(set) var values: [Grid] = []
  /// By destination index; a run adds to them.
  var destinations: [[Double]]

  init(_ test: GraphUnderTest, liveRows: Int) {
    graph = test.graph
    self.liveRows = liveRows
    selectedRows = test.selectedRows
    constants = graph.constants.map { tensor in
      tensor.storage.elements(of: Float.self)[..<tensor.shape.elementCount].map { Double($0) }
    }
    floats = [[Double]](repeating: [], count: graph.inputs.count)
    for (index, values) in test.floats { floats[index] = values.map { Double($0) } }
    integers = Dictionary(uniqueKeysWithValues: test.integers)
    destinations = graph.destinations.map { tensor in
      tensor.storage.elements(of: Float.self)[..<tensor.shape.elementCount].map { Double($0) }
    }
  }

  /// Computes every node.
  mutating func run() {
    values = []
    for node in graph.nodes {
      let grid: Grid
      if node.dtype == .uint32 {
        grid = Grid(zeros: 0, 0)
      } else {
        grid = forward(node) ?? gradient(node)
      }
      if let destination = node.destination {
        destinations[destination] = Swift.zip(destinations[destination], grid.values).map(+)
      }
      values.append(grid)
    }
  }

  func rows(_ node: Node) -> Int {
    switch node.live {
    case .all: liveRows
    case .selected: selectedRows
    case nil: node.shape.rows
    }
  }

  /// The integers of an input.
  func ids(_ value: Value) -> [UInt32] {
    guard case .input(let index) = graph[value].operation else { return [] }
    return integers[index] ?? []
  }

  func grid(_ node: Node, _ input: Int) -> Grid { values[node.inputs[input].index] }

  /// Nil for the operations of the reverse pass.
  private func forward(_ node: Node) -> Grid? {
    let (rows, columns) = (self.rows(node), node.shape.columns)
    func x(_ index: Int) -> Grid { grid(node, index) }
    switch node.operation {
    case .input(let index): return Grid(rows, columns, floats[index])
    case .constant(let index): return Grid(rows, columns, constants[index])
    case .embedding:
      let table = x(0)
      return Grid(rows, columns, ids(node.inputs[1]).flatMap { table.row(Int($0)) })
    case .linear:
      let product = x(0).times(x(1).transposed)
      return node.inputs.count > 2 ? product.zip(x(2), +) : product
    case .matmul:
      let product = x(0).times(x(1))
      return node.inputs.count > 2 ? product.zip(x(2), +) : product
    case .add: return x(0).zip(x(1), +)
    case .multiply: return x(0).zip(x(1), *)
    case .rmsNorm(let epsilon):
      return normalized(x(0), Norm(epsilon: epsilon, isCentered: false)).0.zip(x(1), *)
    case .layerNorm(let epsilon):
      return normalized(x(0), Norm(epsilon: epsilon, isCentered: true)).0.zip(x(1), *)
        .zip(x(2), +)
    case .rope(let isInverse): return rotated(x(0), by: x(1), sign: isInverse ? -1 : 1)
    case .packedAttention(let attention): return attended(node, attention)
    case .silu: return x(0).map(Reference.silu)
    case .siluMultiply: return x(0).map(Reference.silu).zip(x(1), *)
    case .gelu: return x(0).map(Reference.gelu)
    case .tanh: return x(0).map { Foundation.tanh($0) }
    case .softmax: return x(0).mapRows { Reference.softmax($1) }
    case .sliceRows(let range):
      return Grid(rows, columns, range.flatMap { x(0).row($0) })
    case .sliceColumns(let range):
      return Grid(rows, columns, (0..<rows).flatMap { x(0).row($0)[range] })
    case .lastRow: return Grid(1, columns, x(0).row(x(0).rows - 1))
    case .dropout(let dropout): return dropped(x(0), dropout, seed: node.inputs[1])
    case .crossEntropy:
      let (logits, labels) = (x(0), ids(node.inputs[1]))
      var sum = 0.0
      for row in 0..<logits.rows where labels[row] != Graph.ignoredLabel {
        sum -= log(Reference.softmax(logits.row(row))[Int(labels[row])])
      }
      return Grid(1, 1, [sum * x(2)[0, 0]])
    default: return nil
    }
  }

  /// Rows divided by their root mean square, about the mean if centered, and that root's inverse.
  func normalized(_ x: Grid, _ norm: Norm) -> (Grid, [Double]) {
    var scales: [Double] = []
    let grid = x.mapRows { _, row in
      let mean = norm.isCentered ? row.reduce(0, +) / Double(row.count) : 0
      let square = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
      scales.append(1 / (square + Double(norm.epsilon)).squareRoot())
      return row.map { ($0 - mean) / (square + Double(norm.epsilon)).squareRoot() }
    }
    return (grid, scales)
  }

  func rotated(_ x: Grid, by table: Grid, sign: Double) -> Grid {
    let half = table.columns / 2
    return x.mapRows { row, values in
      values.indices.map { index in
        let (start, element) = (index / (2 * half) * (2 * half), index % (2 * half))
        let pair = element % half
        let (first, second) = (values[start + pair], values[start + half + pair])
        let (cosine, sine) = (table[row, pair], sign * table[row, half + pair])
        return element < half ? first * cosine - second * sine : second * cosine + first * sine
      }
    }
  }

  // MARK: Dropout

  /// 1 / (1 - probability) where element `(row, column)` of a mask is kept, else 0.
  func mask(_ dropout: Dropout, seed: Value, row: Int, column: Int) -> Double {
    func mix(_ value: UInt64) -> UInt64 {
      var z = value
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
    let golden: UInt64 = 0x9e37_79b9_7f4a_7c15
    let words = ids(seed)
    let base = UInt64(words[1]) << 32 | UInt64(words[0])
    let stream = mix(base &+ golden &* (UInt64(dropout.stream) + 1))
    let key = mix(stream &+ golden &* UInt64(row + 1))
    var h = UInt32(column) &* 0x9e37_79b9 &+ UInt32(truncatingIfNeeded: key)
    h = (h ^ (h >> 16)) &* 0x21f0_aaad ^ UInt32(key >> 32)
    h = (h ^ (h >> 15)) &* 0x735a_2d97
    h ^= h >> 15
    let isDropped = Double(h) < (Double(dropout.probability) * 0x1p32).rounded(.down)
    return isDropped ? 0 : 1 / (1 - Double(dropout.probability))
  }

  func dropped(_ x: Grid, _ dropout: Dropout, seed: Value) -> Grid {
    x.mapRows { row, values in
      values.indices.map { values[$0] * mask(dropout, seed: seed, row: row, column: $0) }
    }
  }
}
