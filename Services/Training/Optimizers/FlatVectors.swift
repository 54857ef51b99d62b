internal import CKernels
import Tensors

/// Arithmetic on vectors that hold the elements of all parameters.
///
/// Every reduction adds double-precision sums of chunks in order, so that results are the same for
/// any number of threads.
struct FlatVectors {
  let chunks: ParameterChunks

  /// A vector, f32; its elements are those of the parameters, one after another.
  ///
  /// `@unchecked Sendable`: the threads of the pool write disjoint chunks.
  final class Vector: @unchecked Sendable {
    let storage: Storage
    let count: Int
    var start: UnsafeMutablePointer<Float> {
      storage.base.assumingMemoryBound(to: Float.self)
    }

    fileprivate init(_ chunks: ParameterChunks) throws(OptimizerError) {
      storage = try chunks.makeArray()
      count = chunks.elementCount
    }

    var elements: UnsafeMutableBufferPointer<Float> {
      UnsafeMutableBufferPointer(start: start, count: count)
    }
  }

  func make() throws(OptimizerError) -> Vector { try Vector(chunks) }

  private func forEachChunk(
    _ body: @escaping @Sendable (_ chunk: ParameterChunks.Chunk, _ task: Int) -> Void
  ) {
    let chunks = chunks
    chunks.threads.run(tasks: chunks.chunks.count) { task, _ in body(chunks.chunks[task], task) }
  }

  func copy(_ source: Vector, to target: Vector) {
    forEachChunk { chunk, _ in
      (target.start + chunk.offset).update(from: source.start + chunk.offset, count: chunk.count)
    }
  }

  /// out = scale * x.
  func scale(_ x: Vector, by scale: Double, to out: Vector) {
    forEachChunk { chunk, _ in
      ck_scale_f32(out.start + chunk.offset, x.start + chunk.offset, Float(scale), chunk.count)
    }
  }

  /// out += scale * x.
  func add(_ x: Vector, scaledBy scale: Double, to out: Vector) {
    forEachChunk { chunk, _ in
      ck_add_scaled_f32(out.start + chunk.offset, x.start + chunk.offset, Float(scale), chunk.count)
    }
  }

  func dot(_ a: Vector, _ b: Vector) -> Double {
    let chunks = chunks
    forEachChunk { chunk, task in
      let sum = ck_wide_dot_f32(a.start + chunk.offset, b.start + chunk.offset, chunk.count)
      chunks.partial(task, sum)
    }
    return chunks.partials.reduce(0, +)
  }

  func sumOfMagnitudes(_ x: Vector) -> Double {
    let chunks = chunks
    forEachChunk { chunk, task in
      chunks.partial(task, ck_sum_magnitudes_f32(x.start + chunk.offset, chunk.count))
    }
    return chunks.partials.reduce(0, +)
  }

  /// The largest magnitude; NaN if an element is.
  func maxMagnitude(_ x: Vector) -> Double {
    let chunks = chunks
    forEachChunk { chunk, task in
      chunks.partial(task, Double(ck_max_magnitude_f32(x.start + chunk.offset, chunk.count)))
    }
    return chunks.partials.reduce(0) { $1.isNaN || $1 > $0 ? $1 : $0 }
  }

  /// Copies the gradients of the parameters.
  func gatherGradients(to out: Vector) {
    forEachChunk { chunk, _ in
      (out.start + chunk.offset).update(from: chunk.gradients, count: chunk.count)
    }
  }

  /// Copies the parameters.
  func gatherParameters(to out: Vector) {
    forEachChunk { chunk, _ in
      (out.start + chunk.offset).update(from: chunk.values, count: chunk.count)
    }
  }

  /// Sets the parameters.
  func setParameters(to x: Vector) {
    forEachChunk { chunk, _ in
      chunk.values.update(from: x.start + chunk.offset, count: chunk.count)
    }
  }

  /// Moves the parameters by scale * x.
  func moveParameters(along x: Vector, by scale: Double) {
    forEachChunk { chunk, _ in
      ck_add_scaled_f32(chunk.values, x.start + chunk.offset, Float(scale), chunk.count)
    }
  }
}
