import Files
import JSON

/// The description of a tensor to write.
package struct TensorDescription: Sendable {
  /// The tensor's name, unique in the file.
  package let name: String
  /// The type of the elements in the file.
  package let elementType: StoredElementType
  /// The dimensions, outermost first.
  package let shape: [Int]

  /// Describes a tensor.
  package init(name: String, elementType: StoredElementType, shape: [Int]) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
  }

  /// The bytes of its elements.
  package var byteCount: Int { shape.reduce(elementType.byteCount, *) }
}

/// Writes safetensors files.
package enum SafetensorsWriter {
  /// Writes `tensors` to the file `path`, which appears whole or not at all.
  ///
  /// `content` is called once per tensor, in order, and passes its bytes (little-endian, row-major),
  /// in as many pieces as it likes, to its second argument; a total other than the tensor's size
  /// throws `malformed`. As in the reference implementation, tensors of wider elements come first,
  /// so that all are aligned; the header is padded with spaces to a multiple of 8 bytes.
  package static func write(
    path: String,
    tensors: [TensorDescription],
    content: (
      _ tensor: TensorDescription,
      _ write: (UnsafeRawBufferPointer) throws(CheckpointError) -> Void
    ) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    let ordered = tensors.enumerated().sorted {
      ($1.element.elementType.byteCount, $0.offset) < ($0.element.elementType.byteCount, $1.offset)
    }.map(\.element)
    let file = try AtomicFile<CheckpointError>(path)
    try file.write(try header(ordered, path: path))
    for tensor in ordered {
      var written = 0
      try content(tensor) { bytes throws(CheckpointError) in
        written += bytes.count
        try file.write(bytes)
      }
      guard written == tensor.byteCount else {
        throw CheckpointError(
          .malformed,
          file: path,
          "tensor \(tensor.name): \(written) bytes for \(tensor.elementType.rawValue) "
            + "\(tensor.shape)"
        )
      }
    }
    try file.commit()
  }

  private static func header(
    _ tensors: [TensorDescription],
    path: String
  ) throws(CheckpointError) -> [UInt8] {
    var object = JSONObject()
    var metadata = JSONObject()
    _ = metadata.append("format", .string("pt"))
    _ = object.append("__metadata__", .object(metadata))
    var offset = 0
    for tensor in tensors {
      var entry = JSONObject()
      _ = entry.append("dtype", .string(tensor.elementType.rawValue))
      _ = entry.append("shape", .array(tensor.shape.map { .integer($0) }))
      let end = offset + tensor.byteCount
      _ = entry.append("data_offsets", .array([.integer(offset), .integer(end)]))
      offset = end
      guard object.append(tensor.name, .object(entry)) else {
        throw CheckpointError(.malformed, file: path, "tensor \(tensor.name) is there twice")
      }
    }
    var text = Array(JSONValue.object(object).serialized().utf8)
    while text.count % 8 != 0 { text.append(UInt8(ascii: " ")) }
    let length = UInt64(text.count).littleEndian
    return withUnsafeBytes(of: length) { Array($0) } + text
  }
}
