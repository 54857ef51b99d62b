import Glibc

/// A block of memory aligned for vector loads.
///
/// It is uninitialized until written.
///
/// `@unchecked Sendable`: the owner writes it before it shares it; after that the holders of a
/// weight only read, and an arena or a cache has a single thread that uses it.
package final class Storage: @unchecked Sendable {
  /// A cache line, and the widest vector.
  package static let alignment = 64
  /// Blocks from this size on ask for huge pages, which take fewer faults and fewer misses of the
  /// address cache.
  static let hugeBytesMin = 4 << 20
  /// A huge page of x86-64, and of most arm64 systems.
  private static let hugePage = 2 << 20

  /// The first byte, aligned to `alignment`.
  package let base: UnsafeMutableRawPointer
  /// Bytes that may be used.
  package let byteCount: Int

  /// Reserves `byteCount` bytes; throws `memoryLimit` when the system refuses.
  package init(byteCount: Int) throws(TensorError) {
    var pointer: UnsafeMutableRawPointer?
    let isHuge = byteCount >= Storage.hugeBytesMin
    let alignment = isHuge ? Storage.hugePage : Storage.alignment
    guard byteCount >= 0, byteCount <= Int.max - alignment,
      posix_memalign(&pointer, alignment, max(byteCount, alignment)) == 0,
      let pointer
    else {
      throw TensorError(.memoryLimit, "storage: cannot reserve \(byteCount) bytes")
    }
    // Whole pages only, so that no more is in use than was asked for; a refusal costs time alone.
    if isHuge { madvise(pointer, byteCount / Storage.hugePage * Storage.hugePage, MADV_HUGEPAGE) }
    base = pointer
    self.byteCount = byteCount
  }

  deinit { free(base) }

  /// The bytes as elements of `type`, which must be a trivial 4-byte type.
  package func elements<Element>(of type: Element.Type) -> UnsafeMutableBufferPointer<Element> {
    let stride = MemoryLayout<Element>.stride
    return UnsafeMutableBufferPointer(
      start: base.bindMemory(to: type, capacity: byteCount / stride),
      count: byteCount / stride
    )
  }
}

/// An immutable tensor that graphs use as a constant: a weight.
package struct Tensor: Sendable {
  /// The name in the checkpoint, for error messages.
  package let name: String
  /// The element type.
  package let dtype: DType
  /// The dimensions.
  package let shape: Shape
  /// Holds `shape.elementCount` elements, fully written.
  package let storage: Storage

  /// Makes a tensor over storage that has been written and will not be written again.
  package init(name: String, dtype: DType, shape: Shape, storage: Storage) {
    precondition(storage.byteCount >= shape.elementCount * dtype.byteCount)
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.storage = storage
  }

  /// Copies `values` (f32) into a new tensor; throws `shapeMismatch` when their number is not the
  /// shape's.
  package init(name: String, shape: Shape, values: [Float]) throws(TensorError) {
    guard values.count == shape.elementCount else {
      throw TensorError(
        .shapeMismatch,
        "tensor \(name): \(values.count) values for shape \(shape)"
      )
    }
    let storage = try Storage(byteCount: values.count * DType.float32.byteCount)
    _ = storage.elements(of: Float.self).update(fromContentsOf: values)
    self.init(name: name, dtype: .float32, shape: shape, storage: storage)
  }
}
