internal import Checkpoints
internal import Crypto
import Files

/// A file of named f32 arrays behind a header, with a digest in the end.
///
/// Layout, little-endian: the eight bytes `LLMOSCK1`, u64 bytes of the header, the header, u64
/// arrays, for each u64 bytes of its name, the name, u64 elements; the elements of all arrays in
/// order; the SHA-256 of everything before. It is written under another name, made durable, and
/// renamed: a file of this name is whole unless the disk damaged it, which the digest shows.
enum CheckpointFile {
  static let magic = Array("LLMOSCK1".utf8)
  static let digestBytes = SHA256.Digest.byteCount
  /// The most bytes of a header or a name.
  static let headerBytesMax = 64 << 20

  /// Writes `arrays`, which live as long as the call.
  /// - Throws: `internal` for a header or name that would not be read again, `storage`.
  static func write(
    _ path: String,
    header: [UInt8],
    arrays: [(name: String, values: UnsafeBufferPointer<Float>)]
  ) throws(TrainerError) {
    let longest = arrays.reduce(header.count) { max($0, $1.name.utf8.count) }
    guard longest <= headerBytesMax else {
      throw TrainerError(
        .internal,
        "write \(path): the header or a name has \(longest) bytes; at most \(headerBytesMax)"
      )
    }
    var table = magic
    append(header.count, to: &table)
    table += header
    append(arrays.count, to: &table)
    for (name, values) in arrays {
      append(name.utf8.count, to: &table)
      table += name.utf8
      append(values.count, to: &table)
    }
    let file = try AtomicFile<TrainerError>(path)
    var hash = SHA256()
    hash.update(data: table)
    try file.write(table)
    for (_, values) in arrays {
      let bytes = UnsafeRawBufferPointer(values)
      hash.update(bufferPointer: bytes)
      try file.write(bytes)
    }
    try file.write(Array(hash.finalize()))
    try file.commit()
  }

  private static func append(_ value: Int, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: UInt64(value).littleEndian) { bytes += $0 }
  }

  /// The content of a file.
  struct Content {
    let header: [UInt8]
    /// The arrays by name, in the mapped file.
    private(set) var arrays: [String: UnsafeRawBufferPointer] = [:]
    private let mapping: MappedFile

    /// Maps the file and checks the digest; nil if the file is not whole or not of this format.
    /// - Throws: `storage` when it cannot be opened.
    init?(path: String) throws(TrainerError) {
      do throws(CheckpointError) {
        mapping = try MappedFile(path: path)
      } catch {
        throw TrainerError(.storage, "open \(path): \(error.message)", cause: error)
      }
      let all = mapping.bytes
      guard all.count >= magic.count + digestBytes else { return nil }
      let body = UnsafeRawBufferPointer(rebasing: all[..<(all.count - digestBytes)])
      var hash = SHA256()
      hash.update(bufferPointer: body)
      guard hash.finalize().elementsEqual(all[(all.count - digestBytes)...]) else { return nil }
      var reader = Reader(bytes: body)
      guard reader.take(magic.count)?.elementsEqual(magic) == true,
        let header = reader.block(), let count = reader.integer(), count <= body.count
      else { return nil }
      self.header = Array(header)
      var entries: [(String, Int)] = []
      for _ in 0..<count {
        guard let name = reader.block(), let elements = reader.integer() else { return nil }
        entries.append((String(decoding: name, as: UTF8.self), elements))
      }
      for (name, elements) in entries {
        guard elements <= body.count, let values = reader.take(elements * 4) else { return nil }
        arrays[name] = values
      }
      guard reader.isAtEnd else { return nil }
    }

    /// The elements of array `name`; nil if there is none.
    func values(_ name: String) -> [Float]? {
      guard let bytes = arrays[name] else { return nil }
      return [Float](unsafeUninitializedCapacity: bytes.count / 4) { buffer, count in
        UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
        count = bytes.count / 4
      }
    }
  }

  private struct Reader {
    let bytes: UnsafeRawBufferPointer
    var position = 0

    var isAtEnd: Bool { position == bytes.count }

    mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
      guard count >= 0, count <= bytes.count - position else { return nil }
      defer { position += count }
      return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    mutating func integer() -> Int? {
      take(8).flatMap { Int(exactly: UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self))) }
    }

    mutating func block() -> UnsafeRawBufferPointer? {
      guard let count = integer(), count <= headerBytesMax else { return nil }
      return take(count)
    }
  }
}
