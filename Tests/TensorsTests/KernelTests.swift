import CKernels
import Foundation
import Testing

@Suite("Kernels at the edges")
struct KernelTests {
  @Test("All bf16 values convert exactly")
  func bfloat16() {
    let all = (0...UInt16.max).map { $0 }
    var out = [Float](repeating: 0, count: all.count)
    ck_convert_bf16_f32(&out, all, all.count)
    #expect(zip(out, all).allSatisfy { $0.bitPattern == UInt32($1) << 16 })
  }

  @Test("All f16 values convert exactly, subnormals, infinities and NaN too")
  func float16() {
    let all = (0...UInt16.max).map { $0 }
    var out = [Float](repeating: 0, count: all.count)
    ck_convert_f16_f32(&out, all, all.count)
    var wrong = 0
    for bits in all {
      let sign: Float = bits & 0x8000 == 0 ? 1 : -1
      let exponent = Int(bits >> 10 & 0x1f)
      let mantissa = Float(bits & 0x3ff)
      let value = out[Int(bits)]
      switch exponent {
      case 31 where mantissa == 0: wrong += value == sign * .infinity ? 0 : 1
      case 31: wrong += value.isNaN ? 0 : 1
      case 0: wrong += value == sign * mantissa * 0x1p-24 ? 0 : 1
      default:
        let expected =
          sign * (1 + mantissa / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
        wrong += value == expected ? 0 : 1
      }
    }
    #expect(wrong == 0)
  }

  @Test("Softmax holds for scores of any size")
  func softmaxExtremes() {
    var out = [Float](repeating: 0, count: 3)
    ck_softmax_f32(&out, [1e30, -1e30, 1e30], 1, 3)
    #expect(out[0] == 0.5 && out[2] == 0.5 && out[1] < 1e-30)
    ck_softmax_f32(&out, [-500, -500, -500], 1, 3)
    #expect(out.allSatisfy { abs($0 - 1.0 / 3) < 1e-6 })
    ck_softmax_f32(&out, [1, .nan, 2], 1, 3)
    #expect(out.allSatisfy { $0.isNaN })
  }

  @Test("The largest score is found at every place", arguments: [1, 15, 16, 17, 33, 64])
  func softmaxMaximum(count: Int) {
    for place in 0..<count {
      // Without the maximum subtracted, exp(200) would overflow.
      var x = [Float](repeating: -200, count: count)
      x[place] = 200
      var out = x
      ck_softmax_f32(&out, x, 1, count)
      #expect(out[place] == 1)
    }
  }

  @Test("Activations hold in their tails, and NaN stays NaN")
  func activationExtremes() {
    let x: [Float] = [-1e30, -200, -90, -5.5, -0.0, 0, 5.5, 90, 1e30, .nan]
    var out = [Float](repeating: 0, count: x.count)
    ck_silu_f32(&out, x, x.count)
    #expect(out[..<3].allSatisfy { abs($0) < 1e-7 || $0.isFinite && abs($0) < 1e-6 })
    #expect(out[5] == 0 && out[7] == 90 && out[8] == 1e30 && out[9].isNaN)
    ck_gelu_f32(&out, x, x.count)
    #expect(out[1] == 0 || abs(out[1]) < 1e-4)
    #expect(abs(Double(out[3]) - -5.5 * 0.5 * erfc(5.5 / 2.0.squareRoot())) < 2e-6)
    #expect(out[5] == 0 && out[7] == 90 && out[9].isNaN)
  }

  @Test("erf and exp keep their precision over the whole range")
  func precision() {
    let x = stride(from: Float(-20), through: 20, by: 0.003).map { $0 }
    var out = [Float](repeating: 0, count: x.count)
    ck_gelu_f32(&out, x, x.count)
    for (value, result) in zip(x, out) {
      let expected = 0.5 * Double(value) * (1 + erf(Double(value) / 2.0.squareRoot()))
      #expect(abs(Double(result) - expected) <= 5e-7 * max(1, abs(Double(value))))
    }
    ck_silu_f32(&out, x, x.count)
    for (value, result) in zip(x, out) {
      let expected = Double(value) / (1 + exp(-Double(value)))
      #expect(abs(Double(result) - expected) <= 5e-7 * max(abs(expected), 1e-7))
    }
  }

  @Test("Sums of squares by blocks have the same bits, and find the blocks of zeros")
  func squaresByBlocks() {
    var generator = SeededGenerator(seed: 3)
    for count in [1, 63, 64, 300, 1_000] {
      var x = generator.floats(count)
      for index in x.indices where index / 64 % 2 == 1 { x[index] = index % 3 == 0 ? -0.0 : 0 }
      var isNotZero = [UInt8](repeating: 7, count: (count + 63) / 64)
      let sum = ck_sum_squares_blocks_f32(x, count, 64, &isNotZero)
      #expect(sum == ck_sum_squares_f32(x, count))
      #expect(isNotZero.enumerated().allSatisfy { $0.element == ($0.offset % 2 == 0 ? 1 : 0) })
    }
  }
}
