import Testing

@testable import RPC

@Suite(.timeLimit(.minutes(5))) struct GzipTests {
  private func compressed(_ bytes: [UInt8]) throws -> [UInt8] {
    try #require(Gzip.compress(bytes[...], prefix: 0))
  }

  @Test func `messages survive compression`() throws {
    var generator = SeededGenerator(seed: 3)
    for count in [21, 100, 1000, 65_536, 1_000_000] {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...3, using: &generator) }
      guard let packed = Gzip.compress(bytes[...], prefix: 5) else {
        #expect(count < 100)
        continue
      }
      #expect(packed.count < bytes.count + 5)
      #expect(packed.prefix(5) == [0, 0, 0, 0, 0])
      #expect(try Gzip.decompress(packed[5...], maxBytes: count) == bytes)
    }
    #expect(try Gzip.decompress([], maxBytes: 0) == [])
  }

  @Test func `what would not become shorter stays as it is`() throws {
    var generator = SeededGenerator(seed: 4)
    let noise = (0..<10_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
    #expect(Gzip.compress(noise[...], prefix: 5) == nil)
    #expect(Gzip.compress([1, 2, 3], prefix: 5) == nil)
    #expect(try MessageFraming.frame(Bytes(noise), .gzip).prefix(5) == [0, 0, 0, 0x27, 0x10])
  }

  @Test func `a message that inflates to more than the limit is refused`() throws {
    let bomb = try compressed([UInt8](repeating: 0, count: 10_000_000))
    #expect(bomb.count < 50_000)
    let error = #expect(throws: RPCError.self) {
      try Gzip.decompress(bomb[...], maxBytes: 9_999_999)
    }
    #expect(error?.code == .resourceExhausted)
    #expect(error?.message.contains("10000000 bytes") == true)
    #expect(try Gzip.decompress(bomb[...], maxBytes: 10_000_000).count == 10_000_000)
  }

  @Test func `a size that lies is INTERNAL and inflates to no more than it says`() throws {
    let honest = try compressed([UInt8](repeating: 0, count: 10_000_000))
    for size in [0, 1, 1000, 9_999_999, 10_000_001] as [UInt32] {
      var lie = Array(honest.dropLast(4))
      withUnsafeBytes(of: size.littleEndian) { lie += Array($0) }
      let error = #expect(throws: RPCError.self) {
        try Gzip.decompress(lie[...], maxBytes: 100_000_000)
      }
      #expect(error?.code == .internal)
    }
    // More than deflate can ever make of so few bytes.
    var small = try compressed([UInt8](repeating: 0, count: 100))
    small.replaceSubrange(small.count - 4..<small.count, with: [0xff, 0xff, 0xff, 0x7f])
    let error = #expect(throws: RPCError.self) {
      try Gzip.decompress(small[...], maxBytes: .max)
    }
    #expect(error?.code == .internal)
  }

  @Test func `damaged bytes are INTERNAL`() throws {
    let whole = try compressed(Array("a message, a message, a message, a message".utf8))
    var damaged: [[UInt8]] = [
      [0], Array("not gzip at all, but long enough".utf8), Array(whole.dropLast()),
      whole + [0], whole + whole, Array(whole.dropFirst()),
    ]
    for index in whole.indices where index != 4 && index != 5 && index != 6 && index != 7 {
      var bytes = whole
      bytes[index] ^= 0x55
      // Extra flags and the system's name mean nothing to the content.
      if index != 8, index != 9 { damaged.append(bytes) }
    }
    for bytes in damaged {
      let error = #expect(throws: RPCError.self, "\(bytes)") {
        try Gzip.decompress(bytes[...], maxBytes: 1000)
      }
      #expect(error?.code == .internal || error?.code == .resourceExhausted)
    }
    // The streams that failed serve the next message.
    #expect(try Gzip.decompress(whole[...], maxBytes: 1000).count == 42)
  }

  @Test func `random bytes in gzip's frame never crash`() throws {
    var generator = SeededGenerator(seed: 5)
    let whole = try compressed((0..<5_000).map { UInt8($0 / 16 % 7) })
    for _ in 0..<2_000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        bytes[Int.random(in: bytes.indices, using: &generator)] = .random(
          in: 0...255,
          using: &generator
        )
      }
      let plain = try? Gzip.decompress(bytes[...], maxBytes: 10_000)
      #expect((plain?.count ?? 0) <= 10_000)
    }
  }

  @Test(arguments: [
    ("identity,gzip", true), ("gzip", true), (" identity , gzip ", true), ("identity", false),
    ("gzipped", false), ("", false), (nil, false), ("deflate,x-gzip", false),
  ])
  func `an encoding is used with peers that name it alone`(header: String?, isAccepted: Bool) {
    #expect(MessageEncoding.gzip.isAccepted(by: header) == isAccepted)
    #expect(MessageEncoding.identity.isAccepted(by: header))
  }
}
