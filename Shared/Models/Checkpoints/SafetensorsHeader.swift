import JSON

/// Reads and checks the header of a safetensors file.
struct SafetensorsHeader {
  /// In the order of the header.
  private(set) var tensors: [StoredTensor] = []

  /// No element type has a longer name; Swift's `==` is quadratic on hostile texts.
  private let typeNameBytesMax = 16

  private let mapping: MappedFile
  private let dataStart: Int
  private var dataBytes: Int { mapping.bytes.count - dataStart }

  init(_ mapping: MappedFile) throws(CheckpointError) {
    self.mapping = mapping
    let bytes = mapping.bytes
    guard bytes.count >= 8 else {
      throw CheckpointError(
        .malformed,
        file: mapping.path,
        "has \(bytes.count) bytes; the header's length needs 8"
      )
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(min(SafetensorsFile.headerBytesMax, bytes.count - 8)) else {
      throw CheckpointError(
        .malformed,
        file: mapping.path,
        "the header claims \(length) bytes; the file has \(bytes.count) bytes and at most "
          + "\(SafetensorsFile.headerBytesMax) are accepted"
      )
    }
    dataStart = 8 + Int(length)
    let header: JSONValue
    do {
      header = try JSONReader.parse(UnsafeRawBufferPointer(rebasing: bytes[8..<dataStart]))
    } catch {
      throw CheckpointError(
        .malformed,
        file: mapping.path,
        "the header is not JSON: \(error)",
        cause: error
      )
    }
    guard case .object(let members) = header else {
      throw CheckpointError(
        .malformed,
        file: mapping.path,
        "the header is \(header.summary), not an object"
      )
    }
    try read(members)
  }

  private mutating func read(_ members: JSONObject) throws(CheckpointError) {
    var ranges: [(name: String, range: Range<Int>)] = []
    tensors.reserveCapacity(members.count)
    for (name, value) in members.members {
      guard case .object(let entry) = value else {
        throw failure(name, "is not described by an object")
      }
      if name.utf8.elementsEqual("__metadata__".utf8) {
        try checkMetadata(entry)
        continue
      }
      let (tensor, range) = try readTensor(name, entry)
      tensors.append(tensor)
      ranges.append((name, range))
    }
    try checkTiling(ranges)
  }

  private func checkMetadata(_ entry: JSONObject) throws(CheckpointError) {
    for (key, value) in entry.members {
      guard case .string = value else {
        throw failure("__metadata__", "member \"\(key.excerpt())\" is not a string")
      }
    }
  }

  private func failure(_ tensor: String, _ message: String) -> CheckpointError {
    CheckpointError(.malformed, file: mapping.path, "tensor \"\(tensor.excerpt(200))\" \(message)")
  }

  private func readTensor(
    _ name: String,
    _ entry: JSONObject
  ) throws(CheckpointError) -> (StoredTensor, Range<Int>) {
    guard case .string(let typeName) = entry["dtype"] else { throw failure(name, "has no dtype") }
    guard typeName.utf8.count <= typeNameBytesMax, let type = StoredElementType(rawValue: typeName)
    else {
      throw CheckpointError(
        .unsupported,
        file: mapping.path,
        "tensor \"\(name.excerpt(200))\" has the unknown dtype \"\(typeName.excerpt(40))\""
      )
    }
    let shape = try integers("shape", of: entry, tensor: name)
    let offsets = try integers("data_offsets", of: entry, tensor: name)
    guard shape.count <= SafetensorsFile.rankMax else {
      throw failure(
        name,
        "has \(shape.count) dimensions; at most \(SafetensorsFile.rankMax) are accepted"
      )
    }
    guard offsets.count == 2 else {
      throw failure(name, "has \(offsets.count) data_offsets, not 2")
    }
    guard offsets[0] <= offsets[1], offsets[1] <= dataBytes else {
      throw failure(
        name,
        "has data_offsets \(offsets) outside the \(dataBytes) bytes of data in the file"
      )
    }
    var size = type.byteCount
    for dimension in shape {
      let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
      guard !overflow else { throw failure(name, "has shape \(shape), whose size overflows") }
      size = product
    }
    guard size == offsets[1] - offsets[0] else {
      throw failure(
        name,
        "of dtype \(typeName) and shape \(shape) needs \(size) bytes; data_offsets \(offsets) "
          + "hold \(offsets[1] - offsets[0])"
      )
    }
    let range = dataStart + offsets[0]..<dataStart + offsets[1]
    let tensor = StoredTensor(
      name: name,
      elementType: type,
      shape: shape,
      mapping: mapping,
      range: range
    )
    return (tensor, offsets[0]..<offsets[1])
  }

  private func integers(
    _ key: String,
    of entry: JSONObject,
    tensor: String
  ) throws(CheckpointError) -> [Int] {
    guard case .array(let elements) = entry[key] else { throw failure(tensor, "has no \(key)") }
    var result: [Int] = []
    for element in elements {
      guard case .integer(let value) = element, value >= 0 else {
        throw failure(tensor, "has \(element.summary) in its \(key)")
      }
      result.append(value)
    }
    return result
  }

  /// Tensors must tile the data exactly; overlap and gaps could hide content from a reader.
  private func checkTiling(
    _ ranges: [(name: String, range: Range<Int>)]
  ) throws(CheckpointError) {
    var end = 0
    let ordered = ranges.sorted {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }
    for (name, range) in ordered {
      guard range.lowerBound == end else {
        let fault = range.lowerBound < end ? "overlaps the tensor before it" : "leaves a gap"
        throw failure(
          name,
          "at [\(range.lowerBound), \(range.upperBound)] \(fault), which ends at \(end)"
        )
      }
      end = range.upperBound
    }
    guard end == dataBytes else {
      throw CheckpointError(
        .malformed,
        file: mapping.path,
        "the tensors end at byte \(end) of the data, which has \(dataBytes) bytes"
      )
    }
  }
}
