import CNghttp2
import Glibc

/// The memory of one nghttp2 session: blocks that were freed are given out again.
///
/// nghttp2 allocates a dozen small blocks per call (stream, frames, header arrays), always of the
/// same sizes. Not thread-safe, as its session is not. It must outlive the session.
final class SessionMemory {
  /// Blocks up to this size are kept; each has a header that tells its size.
  private static let largest = 1_024
  /// Sizes are rounded up to this.
  private static let step = 64
  private static let sizes = largest / step
  private static let headerBytes = 16
  /// Blocks of one size that are kept.
  private static let keptMax = 256

  /// The first free block of each size, each block leading to the next.
  private let free = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: sizes)
  private let counts = UnsafeMutablePointer<Int>.allocate(capacity: sizes)

  init() {
    free.initialize(repeating: nil, count: Self.sizes)
    counts.initialize(repeating: 0, count: Self.sizes)
  }

  deinit {
    for index in 0..<Self.sizes {
      while let block = free[index] {
        free[index] = block.load(as: UnsafeMutableRawPointer?.self)
        Glibc.free(block)
      }
    }
    free.deallocate()
    counts.deallocate()
  }

  /// The functions for nghttp2, which copies them.
  var functions: nghttp2_mem {
    nghttp2_mem(
      mem_user_data: Unmanaged.passUnretained(self).toOpaque(),
      malloc: { SessionMemory.from($1)?.allocate($0) },
      free: { SessionMemory.from($1)?.release($0) },
      calloc: { count, size, memory in
        let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow, let block = SessionMemory.from(memory)?.allocate(bytes) else { return nil }
        memset(block, 0, bytes)
        return block
      },
      realloc: { SessionMemory.from($2)?.reallocate($0, $1) }
    )
  }

  private static func from(_ userData: UnsafeMutableRawPointer?) -> SessionMemory? {
    userData.map { Unmanaged<SessionMemory>.fromOpaque($0).takeUnretainedValue() }
  }

  private func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
    let size = Self.rounded(bytes)
    if size <= Self.largest, let block = free[size / Self.step - 1] {
      free[size / Self.step - 1] = block.load(as: UnsafeMutableRawPointer?.self)
      counts[size / Self.step - 1] -= 1
      block.storeBytes(of: size, as: Int.self)
      return block + Self.headerBytes
    }
    guard let block = malloc(size + Self.headerBytes) else { return nil }
    block.storeBytes(of: size, as: Int.self)
    return block + Self.headerBytes
  }

  private func release(_ pointer: UnsafeMutableRawPointer?) {
    guard let block = pointer.map({ $0 - Self.headerBytes }) else { return }
    let size = block.load(as: Int.self)
    let index = size / Self.step - 1
    guard size <= Self.largest, counts[index] < Self.keptMax else { return Glibc.free(block) }
    block.storeBytes(of: free[index], as: UnsafeMutableRawPointer?.self)
    free[index] = block
    counts[index] += 1
  }

  private func reallocate(
    _ pointer: UnsafeMutableRawPointer?,
    _ bytes: Int
  ) -> UnsafeMutableRawPointer? {
    guard let pointer else { return allocate(bytes) }
    let old = (pointer - Self.headerBytes).load(as: Int.self)
    guard bytes > old else { return pointer }
    guard let new = allocate(bytes) else { return nil }
    memcpy(new, pointer, old)
    release(pointer)
    return new
  }

  /// At least one step, so that a block can hold the address of the next.
  private static func rounded(_ bytes: Int) -> Int {
    max(step, (bytes + step - 1) / step * step)
  }
}
