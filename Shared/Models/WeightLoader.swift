internal import CKernels
internal import Checkpoints
internal import Tensors

/// Reads the tensors of a checkpoint as f32, each checked against the shape that the configuration
/// implies; a model to train may have new ones among them.
///
/// The conversion runs on the pool: it is bound by memory, and most of all by the first touch of
/// the new pages.
struct WeightLoader {
  private let file: SafetensorsFile?
  private var initializer: WeightInitializer?
  private let isNew: @Sendable (String) -> Bool
  private let threads: ThreadPool
  private let byteCountMax: Int
  /// Bytes of f32 weights so far.
  private(set) var byteCount = 0
  /// The tensors so far, in the order of the requests.
  private(set) var tensors: [Tensor] = []

  /// Elements that one task converts.
  private static let taskElements = 1 << 18

  /// The prefix that a checkpoint of a bare encoder or decoder leaves out.
  private static let basePrefixes = ["bert.", "model."]

  /// Reads all tensors from `file`.
  init(file: SafetensorsFile, threads: ThreadPool, byteCountMax: Int) {
    self.file = file
    self.threads = threads
    self.byteCountMax = byteCountMax
    isNew = { _ in false }
  }

  /// Reads the tensors from `file`, without one none, and makes those for which `isNew` holds.
  init(
    file: SafetensorsFile?,
    threads: ThreadPool,
    byteCountMax: Int,
    initializer: WeightInitializer,
    isNew: @escaping @Sendable (String) -> Bool
  ) {
    self.file = file
    self.threads = threads
    self.byteCountMax = byteCountMax
    self.initializer = initializer
    self.isNew = isNew
  }

  /// The tensor `name` of shape `dimensions`.
  ///
  /// Throws `invalidModel` when it is missing or has another shape, `unsupported` for an element
  /// type other than bf16, f16 and f32, `memoryLimit`.
  mutating func tensor(_ name: String, _ dimensions: [Int]) throws(ModelError) -> Tensor {
    let shape: Shape
    do throws(TensorError) {
      shape = try Shape(dimensions)
    } catch {
      throw ModelError(error, name)
    }
    let stored = isNew(name) ? nil : try stored(name, shape)
    byteCount += shape.elementCount * DType.float32.byteCount
    guard byteCount <= byteCountMax else {
      throw ModelError(
        .memoryLimit,
        "tensor \(name): the weights need more than the limit of \(byteCountMax) bytes"
      )
    }
    do throws(TensorError) {
      let storage = try Storage(byteCount: shape.elementCount * DType.float32.byteCount)
      if let stored {
        try convert(stored, to: storage)
      } else {
        initializer?.fill(storage, name: name, shape: shape)
      }
      let tensor = Tensor(name: name, dtype: .float32, shape: shape, storage: storage)
      tensors.append(tensor)
      return tensor
    } catch {
      throw ModelError(error, name)
    }
  }

  /// The tensor of the file, by its name or that in a checkpoint without a head.
  private func stored(_ name: String, _ shape: Shape) throws(ModelError) -> StoredTensor? {
    guard let file else { return nil }
    let stored: StoredTensor
    do throws(CheckpointError) {
      do throws(CheckpointError) {
        stored = try file.tensor(named: name)
      } catch {
        guard let prefix = WeightLoader.basePrefixes.first(where: { name.hasPrefix($0) }),
          let bare = try? file.tensor(named: String(name.dropFirst(prefix.count)))
        else { throw error }
        stored = bare
      }
    } catch {
      throw ModelError(error)
    }
    guard stored.shape == shape.dimensions, stored.elementCount == shape.elementCount else {
      throw ModelError(
        .invalidModel,
        "tensor \(name) has shape \(stored.shape), the configuration implies "
          + "\(shape.dimensions)"
      )
    }
    return stored
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
