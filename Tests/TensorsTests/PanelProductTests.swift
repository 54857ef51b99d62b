import CKernels
import Testing

@Suite("Products by panels", .enabled(if: ck_has_product() != 0))
struct PanelProductTests {
  /// Which operands are stored transposed.
  private static let layouts = [(false, false), (false, true), (true, false), (true, true)]

  @Test("equal their double-precision reference at every edge of a tile", arguments: 0..<4)
  func reference(layout: Int) {
    let (isATransposed, isBTransposed) = Self.layouts[layout]
    var generator = SeededGenerator(seed: UInt64(layout))
    for (m, n, k) in [
      (1, 1, 1), (5, 7, 3), (6, 16, 4), (7, 17, 385), (8, 48, 5), (9, 49, 31), (13, 95, 384),
      (50, 33, 800), (12, 96, 6), (96, 17, 5), (145, 49, 385), (47, 16, 7),
    ] {
      let a = Matrix(random: m, k, &generator)
      let b = Matrix(random: k, n, &generator)
      let bias = Matrix(random: 1, n, &generator)
      let before = Matrix(random: m, n, &generator)
      let product = Reference.matmul(a, b)
      for (isBiased, accumulates) in [(false, false), (true, false), (false, true), (true, true)] {
        var out = before.values
        multiply(
          isATransposed ? transposed(a) : a.values,
          isBTransposed ? transposed(b) : b.values,
          bias: isBiased ? bias.values : nil,
          (m, n, k),
          layout,
          accumulates,
          &out
        )
        let expected = product.indices.map { index in
          product[index] + (isBiased ? bias[0, index % n] : 0)
            + (accumulates ? before[index / n, index % n] : 0)
        }
        #expect(difference(out, expected) < 1e-5 * Double(k).squareRoot())
      }
    }
  }

  @Test("of a part of the columns has the same bits, and touches nothing else")
  func part() {
    var generator = SeededGenerator(seed: 9)
    let (m, n, k) = (51, 70, 400)
    let a = Matrix(random: m, k, &generator).values
    let b = Matrix(random: k, n, &generator).values
    var whole = [Float](repeating: 0, count: m * n)
    multiply(a, b, bias: nil, (m, n, k), 0, false, &whole)
    let columns = 20..<63
    var out = [Float](repeating: -1, count: m * n)
    multiply(a, b, bias: nil, (m, n, k), 0, false, columns: columns, &out)
    for row in 0..<m {
      for column in 0..<n {
        let value = out[row * n + column]
        #expect(value == (columns.contains(column) ? whole[row * n + column] : -1))
      }
    }
  }

  private func transposed(_ x: Matrix) -> [Float] {
    (0..<x.columns).flatMap { column in
      (0..<x.rows).map { x.values[$0 * x.columns + column] }
    }
  }

  private func multiply(
    _ a: [Float],
    _ b: [Float],
    bias: [Float]?,
    _ sizes: (m: Int, n: Int, k: Int),
    _ layout: Int,
    _ accumulates: Bool,
    columns: Range<Int>? = nil,
    _ out: inout [Float]
  ) {
    let (isATransposed, isBTransposed) = Self.layouts[layout]
    let (m, n, k) = sizes
    let columns = columns ?? 0..<n
    // What lies behind the scratch memory is someone else's.
    let (scratchCount, guardCount) = (ck_product_scratch(columns.count, k), 4_096)
    var scratch = [Float](repeating: .nan, count: scratchCount)
    scratch += [Float](repeating: 7, count: guardCount)
    defer { #expect(scratch.suffix(guardCount).allSatisfy { $0 == 7 }) }
    out.withUnsafeMutableBufferPointer { out in
      a.withUnsafeBufferPointer { a in
        b.withUnsafeBufferPointer { b in
          (bias ?? []).withUnsafeBufferPointer { biases in
            guard let out = out.baseAddress, let a = a.baseAddress, let b = b.baseAddress else {
              return
            }
            var product = ck_product(
              out: out + columns.lowerBound,
              stride: n,
              a: a,
              a_row: isATransposed ? 1 : k,
              a_column: isATransposed ? m : 1,
              b: b + columns.lowerBound * (isBTransposed ? k : 1),
              b_row: isBTransposed ? 1 : n,
              b_column: isBTransposed ? k : 1,
              bias: bias == nil ? nil : biases.baseAddress.map { $0 + columns.lowerBound },
              addend: accumulates ? UnsafePointer(out + columns.lowerBound) : nil,
              m: m,
              n: columns.count,
              k: k
            )
            ck_product_f32(&product, &scratch)
          }
        }
      }
    }
  }
}
