internal import CKernels
internal import Checkpoints
internal import Tensors

/// Reads the tensors of a checkpoint as f32, each checked against the shape that the configuration
/// implies.
///
/// The conversion runs on the pool: it is bound by memory, and most of all by the first touch of
/// the new pages.
struct WeightLoader {
  private let file: SafetensorsFile
  private let threads: ThreadPool
  private let byteCountMax: Int
  /// Bytes of f32 weights so far.
  private(set) var byteCount = 0

  /// Elements that one task converts.
  private static let taskElements = 1 << 18

  init(file: SafetensorsFile, threads: ThreadPool, byteCountMax: Int) {
    self.file = file
    self.threads = threads
    self.byteCountMax = byteCountMax
  }

  /// The tensor `name` of shape `dimensions`.
  ///
  /// Throws `invalidModel` when it is missing or has another shape, `unsupported` for an element
  /// type other than bf16, f16 and f32, `memoryLimit`.
  mutating func tensor(_ name: String, _ dimensions: [Int]) throws(ModelError) -> Tensor {
    let stored: StoredTensor
    let shape: Shape
    do throws(CheckpointError) {
      stored = try file.tensor(named: name)
    } catch {
      throw ModelError(error)
    }
    do throws(TensorError) {
      shape = try Shape(dimensions)
    } catch {
      throw ModelError(error, name)
    }
    guard stored.shape == dimensions, stored.elementCount == shape.elementCount else {
      throw ModelError(
        .invalidModel,
        "tensor \(name) has shape \(stored.shape), the configuration implies \(dimensions)"
      )
    }
    byteCount += shape.elementCount * DType.float32.byteCount
    guard byteCount <= byteCountMax else {
      throw ModelError(
        .memoryLimit,
        "tensor \(name): the weights need more than the limit of \(byteCountMax) bytes"
      )
    }
    do throws(TensorError) {
      let storage = try Storage(byteCount: shape.elementCount * DType.float32.byteCount)
      try convert(stored, to: storage)
      return Tensor(name: name, dtype: .float32, shape: shape, storage: storage)
    } catch {
      throw ModelError(error, name)
    }
  }

  /// The weight `[outputs, inputs]` of `name`, and its bias `[outputs]` when there is one.
  mutating func linear(
    _ name: String,
    inputs: Int,
    outputs: Int,
    hasBias: Bool
  ) throws(ModelError) -> Linear {
    Linear(
      weight: try tensor("\(name).weight", [outputs, inputs]),
      bias: hasBias ? try tensor("\(name).bias", [outputs]) : nil
    )
  }

  private func convert(_ stored: StoredTensor, to storage: Storage) throws(TensorError) {
    let out = storage.elements(of: Float.self)
    let type = stored.elementType
    guard let base = out.baseAddress, [.bfloat16, .float16, .float32].contains(type) else {
      throw TensorError(
        .invalidArgument,
        "element type \(type.rawValue) (BF16, F16 and F32 are supported)"
      )
    }
    let count = stored.elementCount
    let block = WeightLoader.taskElements
    nonisolated(unsafe) let target = base
    threads.run(tasks: (count + block - 1) / block) { task, _ in
      let start = task * block
      let size = min(block, count - start)
      // `stored` keeps the mapping alive. Its bytes may be unaligned; copies and the kernels' loads
      // of 16-bit elements do not mind on the processors that we run on.
      let bytes = stored.bytes
      guard let source = bytes.baseAddress?.advanced(by: start * type.byteCount) else { return }
      switch type {
      case .bfloat16:
        ck_convert_bf16_f32(target + start, source.assumingMemoryBound(to: UInt16.self), size)
      case .float16:
        ck_convert_f16_f32(target + start, source.assumingMemoryBound(to: UInt16.self), size)
      default:
        UnsafeMutableRawPointer(target + start).copyMemory(
          from: source,
          byteCount: size * type.byteCount
        )
      }
    }
  }
}

/// The weights of an affine map.
struct Linear: Sendable {
  /// `[outputs, inputs]`, f32.
  let weight: Tensor
  /// `[outputs]`, f32.
  let bias: Tensor?
}

extension Graph {
  /// `x` `[rows, inputs]` through an affine map: `[rows, outputs]`.
  mutating func linear(_ x: Value, _ linear: Linear) throws(TensorError) -> Value {
    let weight = try constant(linear.weight)
    guard let bias = linear.bias else { return try self.linear(x, weight: weight) }
    return try self.linear(x, weight: weight, bias: try constant(bias))
  }
}
