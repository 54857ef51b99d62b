import CNghttp2
import Glibc

/// The fields that a peer sends again and again: their texts are made once.
///
/// nghttp2 gives a field that the peer's compression refers to by its index in the same two buffers
/// each time, and others in new ones: addresses are compared first, then bytes. The cache holds on
/// to the buffers of its entries, so that an address means one text as long as its entry exists.
///
/// It belongs to one session; `removeAll` must be called before the session goes.
struct HeaderCache {
  private struct Entry {
    let name: OpaquePointer
    let value: OpaquePointer
    let field: HeaderField
  }

  /// Groups of entries, of which its bytes lead a field to one; a power of two.
  private static let groups = 8
  /// The entries of a group, the newest first: the fields of a call seldom push each other out.
  private static let ways = 4
  /// The longest field kept, so that a cache stays below 20 KiB.
  private static let bytesMax = 512

  /// Empty until the first field: connections that are idle keep none.
  private var entries: [Entry?] = []

  /// The field of a name and a value of nghttp2's, which are `nameBytes` and `valueBytes`.
  mutating func field(
    _ name: OpaquePointer,
    _ nameBytes: nghttp2_vec,
    _ value: OpaquePointer,
    _ valueBytes: nghttp2_vec
  ) -> HeaderField {
    let first = Self.group(nameBytes, valueBytes) * Self.ways
    if !entries.isEmpty {
      for slot in first..<first + Self.ways {
        guard let entry = entries[slot] else { break }
        if Self.equal(entry.name, name, nameBytes), Self.equal(entry.value, value, valueBytes) {
          return entry.field
        }
      }
    }
    let field = HeaderField(Self.text(nameBytes), Self.text(valueBytes))
    if nameBytes.len + valueBytes.len <= Self.bytesMax {
      nghttp2_rcbuf_incref(name)
      nghttp2_rcbuf_incref(value)
      insert(Entry(name: name, value: value, field: field), first)
    }
    return field
  }

  private mutating func insert(_ entry: Entry, _ first: Int) {
    if entries.isEmpty { entries = Array(repeating: nil, count: Self.groups * Self.ways) }
    let last = first + Self.ways - 1
    if let oldest = entries[last] { Self.release(oldest) }
    for slot in stride(from: last, to: first, by: -1) { entries[slot] = entries[slot - 1] }
    entries[first] = entry
  }

  /// Lets go of nghttp2's buffers.
  mutating func removeAll() {
    for case let entry? in entries { Self.release(entry) }
    entries = []
  }

  private static func release(_ entry: Entry) {
    nghttp2_rcbuf_decref(entry.name)
    nghttp2_rcbuf_decref(entry.value)
  }

  private static func equal(
    _ kept: OpaquePointer,
    _ other: OpaquePointer,
    _ bytes: nghttp2_vec
  ) -> Bool {
    if kept == other { return true }
    let keptBytes = nghttp2_rcbuf_get_buf(kept)
    return keptBytes.len == bytes.len && memcmp(keptBytes.base, bytes.base, bytes.len) == 0
  }

  /// By the lengths and the last bytes, in which names and values differ most.
  private static func group(_ name: nghttp2_vec, _ value: nghttp2_vec) -> Int {
    var hash = name.len &* 31 &+ value.len
    if name.len > 0 { hash = hash &* 31 &+ Int(name.base[name.len - 1]) }
    if value.len > 0 { hash = hash &* 31 &+ Int(value.base[value.len - 1]) }
    return Int(truncatingIfNeeded: (UInt(bitPattern: hash) &* 0x9e37_79b9_7f4a_7c15) >> 61)
  }

  private static func text(_ bytes: nghttp2_vec) -> String {
    String(decoding: UnsafeBufferPointer(start: bytes.base, count: bytes.len), as: UTF8.self)
  }
}
