import CZlib
import Synchronization

/// Messages in gzip's format (RFC 1952), by zlib.
enum Gzip {
  /// The fastest level: on a network within one site time is dearer than the last bytes.
  fileprivate static let level: Int32 = 1
  /// A window of 32 KiB; 16 more stand for gzip's header and trailer.
  fileprivate static let windowBits: Int32 = 15 + 16
  /// A header, an empty block and a trailer.
  private static let minBytes = 20
  /// The most that one byte can stand for (zlib's technical notes: 1032:1).
  private static let maxRatio = 1032
  /// zlib counts in 32 bits; messages that long are neither sent nor received compressed.
  private static let maxBytes = Int(UInt32.max)

  private static let deflaters = StreamPool { ZlibStream.deflater() }
  private static let inflaters = StreamPool { ZlibStream.inflater() }

  /// The bytes compressed, after `prefix` zero bytes; nil when that would not make them shorter.
  static func compress(_ bytes: ArraySlice<UInt8>, prefix: Int) -> [UInt8]? {
    guard bytes.count > minBytes, bytes.count < maxBytes, let stream = deflaters.take() else {
      return nil
    }
    defer { deflaters.giveBack(stream) }
    var isComplete = false
    let output = [UInt8](unsafeUninitializedCapacity: prefix + bytes.count) { buffer, count in
      buffer[0..<prefix].initialize(repeating: 0)
      // There is room for less than the plain message and no more.
      let room = UnsafeMutableBufferPointer(rebasing: buffer[prefix..<(prefix + bytes.count - 1)])
      let (produced, result) = stream.run(bytes, into: room) { deflate($0, Z_FINISH) }
      isComplete = result == Z_STREAM_END
      count = prefix + produced
    }
    return isComplete ? output : nil
  }

  /// The bytes that were compressed.
  ///
  /// Memory is asked for once, for the size that gzip's trailer states: no message can inflate to
  /// more than that. Throws RESOURCE_EXHAUSTED, before anything is inflated, when it is above
  /// `maxBytes`, and INTERNAL for what is not exactly one gzip member. No bytes at all stand for
  /// none.
  static func decompress(_ bytes: ArraySlice<UInt8>, maxBytes: Int) throws(RPCError) -> [UInt8] {
    if bytes.isEmpty { return [] }
    let size = bytes.suffix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    guard bytes.count >= minBytes, bytes.count < Self.maxBytes,
      size / maxRatio <= bytes.count
    else { throw malformed }
    guard size <= maxBytes else {
      throw RPCError(
        .resourceExhausted,
        "message: \(size) bytes after gzip, but at most \(maxBytes) are received"
      )
    }
    guard let stream = inflaters.take() else {
      throw RPCError(.resourceExhausted, "gzip: no memory")
    }
    defer { inflaters.giveBack(stream) }
    var isComplete = false
    // zlib wants a place for its output even where there is none.
    let output = [UInt8](unsafeUninitializedCapacity: max(1, size)) { buffer, count in
      let room = UnsafeMutableBufferPointer(rebasing: buffer[0..<size])
      let (produced, result) = stream.run(bytes, into: room) { inflate($0, Z_FINISH) }
      isComplete = result == Z_STREAM_END && stream.unreadBytes == 0
      count = produced
    }
    guard isComplete else { throw malformed }
    return output
  }

  private static let malformed = RPCError(.internal, "message: not gzip, though flagged so")
}

/// zlib streams that wait for the next message: making one costs more than a small message does.
private final class StreamPool: Sendable {
  /// Streams kept; a deflater takes 256 KiB, an inflater 48.
  private static let keptMax = 8

  private let make: @Sendable () -> ZlibStream?
  private let kept = Mutex<[ZlibStream]>([])

  init(_ make: @escaping @Sendable () -> ZlibStream?) {
    self.make = make
  }

  func take() -> ZlibStream? {
    kept.withLock { $0.popLast() } ?? make()
  }

  func giveBack(_ stream: ZlibStream) {
    guard stream.reset() else { return }
    kept.withLock { if $0.count < Self.keptMax { $0.append(stream) } }
  }
}

/// One zlib stream.
///
/// `@unchecked Sendable`: it belongs to the pool or to the one call that took it from there.
private final class ZlibStream: @unchecked Sendable {
  /// zlib's state points back at it: it must not move.
  private let stream: UnsafeMutablePointer<z_stream>
  private let isDeflater: Bool

  private init?(isDeflater: Bool, _ start: (UnsafeMutablePointer<z_stream>) -> Int32) {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    self.isDeflater = isDeflater
    guard start(stream) == Z_OK else {
      stream.deallocate()
      return nil
    }
  }

  deinit {
    if isDeflater { deflateEnd(stream) } else { inflateEnd(stream) }
    stream.deallocate()
  }

  static func deflater() -> ZlibStream? {
    ZlibStream(isDeflater: true) { stream in
      deflateInit2_(
        stream,
        Gzip.level,
        Z_DEFLATED,
        Gzip.windowBits,
        MAX_MEM_LEVEL - 1,
        Z_DEFAULT_STRATEGY,
        ZLIB_VERSION,
        Int32(MemoryLayout<z_stream>.size)
      )
    }
  }

  static func inflater() -> ZlibStream? {
    ZlibStream(isDeflater: false) { stream in
      inflateInit2_(
        stream,
        Gzip.windowBits,
        ZLIB_VERSION,
        Int32(MemoryLayout<z_stream>.size)
      )
    }
  }

  /// Input that the last run left.
  var unreadBytes: Int { Int(stream.pointee.avail_in) }

  func reset() -> Bool {
    (isDeflater ? deflateReset(stream) : inflateReset(stream)) == Z_OK
  }

  /// Runs zlib once over all of `input`; returns how many bytes it wrote, and zlib's result.
  func run(
    _ input: ArraySlice<UInt8>,
    into output: UnsafeMutableBufferPointer<UInt8>,
    _ step: (UnsafeMutablePointer<z_stream>) -> Int32
  ) -> (produced: Int, result: Int32) {
    input.withUnsafeBufferPointer { input in
      // zlib does not write to its input, whatever the pointer's type says.
      stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
      stream.pointee.avail_in = UInt32(input.count)
      stream.pointee.next_out = output.baseAddress
      stream.pointee.avail_out = UInt32(output.count)
      let result = step(stream)
      let produced = output.count - Int(stream.pointee.avail_out)
      stream.pointee.next_in = nil
      stream.pointee.next_out = nil
      return (produced, result)
    }
  }
}
