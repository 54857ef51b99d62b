import RPC
import ServiceAPI
import Testing

@Suite struct ArenaTests {
  @Test func `allocations are aligned and do not overlap`() {
    var arena = Arena(firstBytes: 64)
    var ranges: [Range<UInt>] = []
    for size in [1, 8, 3, 100, 0, 5000, 7, 64] {
      guard let memory = arena.allocate(byteCount: size) else {
        Issue.record("no room for \(size) bytes")
        return
      }
      let start = UInt(bitPattern: memory)
      #expect(start.isMultiple(of: UInt(Arena.alignmentBytes)))
      memory.initializeMemory(as: UInt8.self, repeating: 0xaa, count: size)
      ranges.append(start..<start + UInt(size))
    }
    for (index, range) in ranges.enumerated() {
      #expect(ranges[..<index].allSatisfy { !$0.overlaps(range) })
    }
  }

  @Test func `an arena does not grow beyond its limit`() {
    var arena = Arena(firstBytes: 64, limitBytes: 1024)
    var taken = 0
    while arena.allocate(byteCount: 40) != nil { taken += 40 }
    #expect(taken > 512)
    #expect(arena.reservedBytes <= 1024)
    #expect(arena.allocate(byteCount: .max) == nil)
  }

  @Test func `a message too large to encode is an error`() {
    var arena = Arena(firstBytes: 64, limitBytes: 1024)
    var failed: RPCError?
    do {
      _ = try arena.array(Array(repeating: UInt64(1), count: 1000))
    } catch {
      failed = error
    }
    #expect(failed?.code == .resourceExhausted)
  }
}
