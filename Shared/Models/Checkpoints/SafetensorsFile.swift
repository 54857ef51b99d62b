/// A tensor's element type as safetensors names it.
package enum StoredElementType: String, Sendable, Hashable, CaseIterable {
  case boolean = "BOOL"
  case uint8 = "U8"
  case int8 = "I8"
  case float8e5m2 = "F8_E5M2"
  case float8e4m3 = "F8_E4M3"
  case int16 = "I16"
  case uint16 = "U16"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case int32 = "I32"
  case uint32 = "U32"
  case float32 = "F32"
  case float64 = "F64"
  case int64 = "I64"
  case uint64 = "U64"

  /// The size of one element, in bytes.
  package var byteCount: Int {
    switch self {
    case .boolean, .uint8, .int8, .float8e5m2, .float8e4m3: 1
    case .int16, .uint16, .float16, .bfloat16: 2
    case .int32, .uint32, .float32: 4
    case .float64, .int64, .uint64: 8
    }
  }
}

/// A tensor of a checkpoint: its description, and its bytes in the mapped file, which it keeps alive.
package struct StoredTensor: Sendable {
  /// The tensor's name in the file.
  package let name: String
  /// The element type.
  package let elementType: StoredElementType
  /// The dimensions, outermost first (row-major); empty for a scalar.
  package let shape: [Int]
  private let mapping: MappedFile
  private let range: Range<Int>

  init(
    name: String,
    elementType: StoredElementType,
    shape: [Int],
    mapping: MappedFile,
    range: Range<Int>
  ) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
    self.mapping = mapping
    self.range = range
  }

  /// The number of elements.
  package var elementCount: Int { range.count / elementType.byteCount }

  /// The elements, little-endian, row-major, in the mapped file: valid while this value or its file lives.
  ///
  /// The format does not promise alignment: check the address, or load unaligned.
  package var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: mapping.bytes[range])
  }
}

/// A safetensors file, mapped read-only; its header is checked as hostile input before anything is read.
///
/// The format: eight bytes of little-endian header length, a JSON header, the data. The rules are those of
/// the reference implementation (https://github.com/huggingface/safetensors, `tensor.rs`): tensors tile
/// the data without gap or overlap. Immutable and safe to share between threads.
package final class SafetensorsFile: Sendable {
  /// The longest header accepted, as in the reference implementation.
  package static let headerBytesMax = 100_000_000
  /// The most dimensions of one tensor.
  package static let rankMax = 16

  /// The names of the tensors in the order of the header.
  package let tensorNames: [String]
  private let mapping: MappedFile
  /// By the UTF-8 of their names: names are hostile, and Swift compares strings by canonical
  /// equivalence, in quadratic time.
  private let tensors: [[UInt8]: StoredTensor]

  /// The path the file was opened with.
  package var path: String { mapping.path }

  /// Maps the file at `path` and checks its header.
  ///
  /// Errors name the file, the tensor and the values.
  package init(path: String) throws(CheckpointError) {
    mapping = try MappedFile(path: path)
    let header = try SafetensorsHeader(mapping)
    tensorNames = header.tensors.map(\.name)
    tensors = Dictionary(
      header.tensors.map { (Array($0.name.utf8), $0) },
      uniquingKeysWith: { first, _ in first }
    )
  }

  /// The tensor called `name`; throws `missingTensor` when there is none.
  package func tensor(named name: String) throws(CheckpointError) -> StoredTensor {
    guard let tensor = tensors[Array(name.utf8)] else {
      throw CheckpointError(
        .missingTensor,
        file: path,
        "holds no tensor \"\(name)\" (it holds \(tensors.count))"
      )
    }
    return tensor
  }
}
