package import CProtobufC
package import RPC

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// A bump allocator that holds the C form of one message while it is encoded or decoded.
///
/// Structs, strings and arrays lie in it, and are freed at once, when the arena goes.
/// Not thread-safe: one arena belongs to one call of `serialize` or `init(serialized:)`.
package struct Arena: ~Copyable {
  /// Alignment of every allocation: no protobuf-c struct asks for more.
  package static let alignmentBytes = 8
  /// The size of the first chunk when nothing better is known.
  package static let chunkBytes = 1024
  /// The most one message may take up while it is encoded.
  package static let encodingBytesMax = 1 << 30
  /// The deepest nesting of messages that is encoded, as on the receiving side.
  package static let nestingMax = WireCheck.nestingMax

  // SAFETY: `cursor ..< end` is the unused part of the newest chunk. Every chunk begins with a
  // pointer to the chunk before it, so the list needs no memory of its own.
  private var cursor: UnsafeMutableRawPointer
  private var end: UnsafeMutableRawPointer
  private var newest: UnsafeMutableRawPointer
  private var chunkBytes: Int
  private var depth = 0
  /// Bytes taken from the system so far, at most `limitBytes`.
  package private(set) var reservedBytes: Int
  /// The most bytes this arena takes from the system.
  package let limitBytes: Int

  private static let headerBytes = 16

  /// Makes an arena with room for `firstBytes`, which may grow to `limitBytes`.
  package init(firstBytes: Int = Arena.chunkBytes, limitBytes: Int = Arena.encodingBytesMax) {
    let size = Self.headerBytes + firstBytes
    newest = .allocate(byteCount: size, alignment: Self.headerBytes)
    newest.storeBytes(of: nil, as: UnsafeMutableRawPointer?.self)
    cursor = newest + Self.headerBytes
    end = newest + size
    chunkBytes = size
    reservedBytes = size
    self.limitBytes = max(limitBytes, size)
  }

  deinit {
    var chunk: UnsafeMutableRawPointer? = newest
    while let present = chunk {
      chunk = present.load(as: UnsafeMutableRawPointer?.self)
      present.deallocate()
    }
  }

  /// Returns `byteCount` uninitialized bytes, or nil when the arena would exceed its limit.
  package mutating func allocate(byteCount: Int) -> UnsafeMutableRawPointer? {
    let mask = Self.alignmentBytes - 1
    let (padded, overflow) = byteCount.addingReportingOverflow(mask)
    guard !overflow else { return nil }
    let size = padded & ~mask
    if size > end - cursor {
      guard grow(for: size) else { return nil }
    }
    defer { cursor += size }
    return cursor
  }

  private mutating func grow(for size: Int) -> Bool {
    let room = limitBytes - reservedBytes
    guard size <= room - Self.headerBytes else { return false }
    // Doubling keeps the number of chunks logarithmic in the size of the message.
    let bytes = min(max(chunkBytes * 2, size + Self.headerBytes), room)
    let chunk = UnsafeMutableRawPointer.allocate(
      byteCount: bytes,
      alignment: Self.headerBytes
    )
    chunk.storeBytes(of: newest, as: UnsafeMutableRawPointer?.self)
    newest = chunk
    cursor = chunk + Self.headerBytes
    end = chunk + bytes
    chunkBytes = bytes
    reservedBytes += bytes
    return true
  }
}

// MARK: - Encoding

extension Arena {
  /// Counts one level of nesting; the message `name` is about to be filled in.
  package mutating func enter(_ name: StaticString) throws(RPCError) {
    guard depth <= Self.nestingMax else {
      throw RPCError(.internal, "\(name): nested deeper than \(Self.nestingMax) messages")
    }
    depth += 1
  }

  /// Ends the level that `enter` began.
  package mutating func leave() { depth -= 1 }

  /// Returns room for one `C`, to be initialized by the caller.
  package mutating func one<C>(_: C.Type) throws(RPCError) -> UnsafeMutablePointer<C> {
    try room(for: C.self, count: 1)
  }

  /// Returns room for `count` messages, one after the other, and the list of pointers to them
  /// that a repeated field of protobuf-c holds.
  package mutating func messages<C>(
    _: C.Type,
    count: Int
  ) throws(RPCError)
    -> (first: UnsafeMutablePointer<C>, list: UnsafeMutablePointer<UnsafeMutablePointer<C>?>)
  {
    let first = try room(for: C.self, count: count)
    let list = try room(for: UnsafeMutablePointer<C>?.self, count: count)
    for index in 0..<count {
      (list + index).initialize(to: first + index)
    }
    return (first, list)
  }

  /// Copies numbers.
  package mutating func array<C: BitwiseCopyable>(
    _ values: [C]
  ) throws(RPCError)
    -> UnsafeMutablePointer<C>
  {
    let copy = try room(for: C.self, count: values.count)
    values.withUnsafeBufferPointer { source in
      guard let base = source.baseAddress else { return }
      copy.initialize(from: base, count: source.count)
    }
    return copy
  }

  /// Copies values that C holds in another form.
  package mutating func array<Value, C>(
    _ values: [Value],
    _ convert: (Value) -> C
  )
    throws(RPCError) -> UnsafeMutablePointer<C>
  {
    let copy = try room(for: C.self, count: values.count)
    for index in values.indices {
      (copy + index).initialize(to: convert(values[index]))
    }
    return copy
  }

  /// Copies a string and ends it with a NUL.
  ///
  /// A string that holds a NUL itself would reach the peer cut off, so it is refused; `field` names
  /// it in the error.
  package mutating func string(
    _ value: String,
    _ field: StaticString
  ) throws(RPCError)
    -> UnsafeMutablePointer<CChar>
  {
    var value = value
    let count = value.utf8.count
    let copy = try room(for: CChar.self, count: count + 1)
    let holdsNUL = value.withUTF8 { source -> Bool in
      guard let base = source.baseAddress else { return false }
      memcpy(copy, base, source.count)
      return memchr(copy, 0, source.count) != nil
    }
    guard !holdsNUL else {
      throw RPCError(.internal, "\(field): the string holds a NUL character")
    }
    copy[count] = 0
    return copy
  }

  /// Copies a list of strings.
  package mutating func strings(
    _ values: [String],
    _ field: StaticString
  ) throws(RPCError)
    -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  {
    let list = try room(for: UnsafeMutablePointer<CChar>?.self, count: values.count)
    for index in values.indices {
      (list + index).initialize(to: try string(values[index], field))
    }
    return list
  }

  /// Copies bytes.
  package mutating func bytes(_ value: [UInt8]) throws(RPCError) -> ProtobufCBinaryData {
    ProtobufCBinaryData(len: value.count, data: value.isEmpty ? nil : try array(value))
  }

  /// Copies a list of byte strings.
  package mutating func byteStrings(
    _ values: [[UInt8]]
  ) throws(RPCError)
    -> UnsafeMutablePointer<ProtobufCBinaryData>
  {
    let list = try room(for: ProtobufCBinaryData.self, count: values.count)
    for index in values.indices {
      (list + index).initialize(to: try bytes(values[index]))
    }
    return list
  }

  private mutating func room<C>(
    for _: C.Type,
    count: Int
  ) throws(RPCError)
    -> UnsafeMutablePointer<C>
  {
    guard let memory = allocate(byteCount: MemoryLayout<C>.stride * count) else {
      throw RPCError(
        .resourceExhausted,
        "encode: the message takes more than \(limitBytes) bytes"
      )
    }
    return memory.bindMemory(to: C.self, capacity: count)
  }
}
