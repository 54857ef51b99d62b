import Crypto
import Files
import Glibc
import Store

/// Where a row lies, and what is needed of it without reading it.
struct RowEntry: Equatable {
  /// Bytes of an entry in an index.
  static let bytes = 32

  /// The shard, by its place in the version's list.
  var shard: UInt32
  /// Where the row starts in the shard.
  var offset: UInt32
  /// Its bytes, without the line feed.
  var length: UInt32
  /// Rows with the same label, or set of entity types, have the same number.
  var stratum: UInt32
  /// The first half of the row's SHA-256.
  var digest: RowDigest

  /// Appends the entry as stored: little-endian, in the order of the properties.
  func append(to bytes: inout [UInt8]) {
    for value in [shard, offset, length, stratum] {
      withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    withUnsafeBytes(of: digest.high.littleEndian) { bytes.append(contentsOf: $0) }
    withUnsafeBytes(of: digest.low.littleEndian) { bytes.append(contentsOf: $0) }
  }

  init(shard: UInt32, offset: UInt32, length: UInt32, stratum: UInt32, digest: RowDigest) {
    self.shard = shard
    self.offset = offset
    self.length = length
    self.stratum = stratum
    self.digest = digest
  }

  /// The entry at the start of stored bytes.
  init(_ bytes: UnsafeRawBufferPointer) {
    shard = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self))
    offset = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    length = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    stratum = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
    digest = RowDigest(
      high: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
      low: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
    )
  }
}

/// 16 bytes of a row's SHA-256: two of 2³² rows share one with a probability below 10⁻¹⁹.
struct RowDigest: Hashable {
  var high: UInt64
  var low: UInt64

  init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// The digest of a row's bytes.
  init(of row: UnsafeRawBufferPointer) {
    var hash = SHA256()
    hash.update(bufferPointer: row)
    (high, low) = hash.finalize().withUnsafeBytes { bytes in
      (
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      )
    }
  }
}

/// The rows of a split in stored order: a blob of entries of a fixed size, so that any row is found at once.
///
/// Used by one task at a time, on a thread that may block.
final class RowIndexReader {
  /// Bytes before the first entry.
  static let header = Array("llmosix1".utf8)
  private static let windowEntries = 2_048

  let count: UInt64
  private let name: String
  private let descriptor: CInt
  private var window: [UInt8] = []
  private var windowStart: UInt64 = 0

  /// Opens the index of a split of so many rows; throws `dataLoss` if it is missing or damaged.
  init(path: String, split: String, rows: UInt64) throws(DataError) {
    name = "index of split \(split)"
    count = rows
    descriptor = try openBlob(
      path,
      named: name,
      sizeBytes: Int64(Self.header.count) + Int64(rows) * Int64(RowEntry.bytes)
    )
    let header = try readBlob(descriptor, named: name, offset: 0, count: Self.header.count)
    guard header == Self.header else {
      throw DataError(.dataLoss, "\(name): it is not an index of this release")
    }
  }

  deinit { close(descriptor) }

  /// The entry of a row, by its place from 0; fast for neighbours.
  func entry(_ row: UInt64) throws(DataError) -> RowEntry {
    precondition(row < count)
    let held = UInt64(window.count / RowEntry.bytes)
    if row < windowStart || row >= windowStart + held {
      // A jump reads one entry, a walk many.
      let isNext = row == windowStart + held
      let entries = isNext ? min(UInt64(Self.windowEntries), count - row) : 1
      window = try readBlob(
        descriptor,
        named: name,
        offset: Int64(Self.header.count) + Int64(row) * Int64(RowEntry.bytes),
        count: Int(entries) * RowEntry.bytes
      )
      windowStart = row
    }
    return window.withUnsafeBytes { bytes in
      let start = Int(row - windowStart) * RowEntry.bytes
      return RowEntry(UnsafeRawBufferPointer(rebasing: bytes[start..<(start + RowEntry.bytes)]))
    }
  }
}

/// Opens a blob of a known size; throws `dataLoss` if it is missing or has another one.
func openBlob(_ path: String, named name: String, sizeBytes: Int64) throws(DataError) -> CInt {
  let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
  guard descriptor >= 0 else {
    let number = errno
    guard number == ENOENT else { throw .system(.open, name, number) }
    throw DataError(.dataLoss, "\(name): its blob is missing; import the dataset again")
  }
  do throws(DataError) {
    let status = try FileSystem.status(ofDescriptor: descriptor, name: name)
    guard status.sizeBytes == sizeBytes else {
      throw DataError(.dataLoss, "\(name): \(status.sizeBytes) bytes instead of \(sizeBytes)")
    }
  } catch {
    close(descriptor)
    throw error
  }
  return descriptor
}

/// Reads so many bytes of an open blob; throws `dataLoss` if there are fewer.
func readBlob(
  _ descriptor: CInt,
  named name: String,
  offset: Int64,
  count: Int
) throws(DataError) -> [UInt8] {
  var failure: DataError?
  let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
    filled = 0
    while filled < count {
      let part = pread(
        descriptor,
        buffer.baseAddress.map { $0 + filled },
        count - filled,
        off_t(offset) + off_t(filled)
      )
      if part < 0 && errno == EINTR { continue }
      guard part > 0 else {
        failure =
          part < 0 ? .system(.read, name) : DataError(.dataLoss, "\(name): it ends early")
        return
      }
      filled += part
    }
  }
  if let failure { throw failure }
  return bytes
}
