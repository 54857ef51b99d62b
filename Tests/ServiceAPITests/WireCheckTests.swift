import CProtobufC
import CTestProto
import RPC
import ServiceAPI
import Testing

@Suite struct WireCheckTests {
  @Test func `nesting is bounded, however long the message`() throws {
    #expect(throws: Never.self) {
      try decode(Samples.nestedBytes(depth: 100), as: TestV1.Tree.self)
    }
    let tooDeep = fault(Samples.nestedBytes(depth: 101), TestV1.Tree.self)
    #expect(tooDeep == "llmos.test.v1.Tree: nested deeper than 100 messages")
    let megabyte = Samples.nestedBytes(depth: 260_000)
    #expect(megabyte.count > 1_000_000)
    #expect(fault(megabyte, TestV1.Tree.self) == tooDeep)
  }

  @Test(arguments: [
    [0xff], [0xc0, 0x80], [0xc1, 0xbf], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80],
    [0xf0, 0x80, 0x80, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0x80], [0xc3],
    [0xe2, 0x82], [0xf0, 0x9f, 0x99], [0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0xff],
  ])
  func `a string that is not UTF-8 is refused`(text: [UInt8]) {
    let reason = "llmos.test.v1.Scalars.string_value: the string is not valid UTF-8"
    #expect(fault(Wire.field(14, text), TestV1.Scalars.self) == reason)
    let padding = Array(repeating: UInt8(0x61), count: 13)
    #expect(fault(Wire.field(14, padding + text), TestV1.Scalars.self) == reason)
    #expect(fault(Wire.field(14, text + padding), TestV1.Scalars.self) == reason)
  }

  @Test(arguments: 0..<20)
  func `a string with a NUL is refused, wherever it is`(position: Int) {
    var text = Array(repeating: UInt8(0x61), count: 20)
    text[position] = 0
    #expect(
      fault(Wire.field(14, text), TestV1.Scalars.self)
        == "llmos.test.v1.Scalars.string_value: the string holds a NUL character"
    )
  }

  @Test func `every character is let through`() throws {
    let all = String(
      String.UnicodeScalarView((1...0x10_ffff).compactMap { Unicode.Scalar(UInt32($0)) })
    )
    var message = TestV1.Scalars()
    message.stringValue = all
    #expect(try decode(encode(message), as: TestV1.Scalars.self).stringValue == all)
  }

  @Test func `strings in lists, maps and oneofs are checked too`() {
    #expect(fault(Wire.field(14, [0xff]), TestV1.Lists.self) != nil)
    #expect(fault(Wire.field(1, Wire.field(1, [0xff])), TestV1.Maps.self) != nil)
    #expect(fault(Wire.field(1, Wire.field(2, [0])), TestV1.Maps.self) != nil)
    #expect(fault(Wire.field(5, [0xff]), TestV1.Choices.self) != nil)
    #expect(fault(Wire.field(17, Wire.field(3, [0xff])), TestV1.Scalars.self) != nil)
  }

  @Test func `a message twice in a singular field is refused`() {
    let reason = "llmos.test.v1.Scalars.nested: a message that appears more than once"
    let nested = Wire.field(17, [0x08, 0x01])
    #expect(fault(nested + nested, TestV1.Scalars.self) == reason)
    #expect(fault(Wire.field(9, []) + Wire.field(9, []), TestV1.Choices.self) != nil)
    #expect(fault(Wire.field(2, []) + Wire.field(3, []), TestV1.Tree.self) == nil)
  }

  @Test func `a wire type that does not fit the field is refused`() {
    #expect(
      fault(Wire.field(3, [1]), TestV1.Scalars.self)
        == "llmos.test.v1.Scalars.int32_value: wire type 2 instead of 0"
    )
    #expect(fault(Wire.tag(13, 1) + Array(repeating: 0, count: 8), TestV1.Scalars.self) != nil)
    #expect(fault(Wire.tag(14, 0) + [0], TestV1.Scalars.self) != nil)
    #expect(fault(Wire.tag(17, 5) + [0, 0, 0, 0], TestV1.Scalars.self) != nil)
    #expect(fault(Wire.tag(9, 0) + [1], TestV1.Lists.self) != nil)
  }

  @Test func `groups and wire types that do not exist are refused`() {
    for wireType: UInt64 in [3, 4, 6, 7] {
      #expect(fault(Wire.tag(50, wireType), TestV1.Scalars.self) != nil)
      #expect(fault(Wire.tag(1, wireType), TestV1.Scalars.self) != nil)
    }
  }

  @Test func `field numbers that do not exist are refused`() {
    #expect(
      fault([0x00, 0x00], TestV1.Scalars.self) == "llmos.test.v1.Scalars: a field has the number 0"
    )
    #expect(fault(Wire.varint(1 << 32) + [0], TestV1.Scalars.self) != nil)
    #expect(fault([0x88, 0x80, 0x80, 0x80, 0x80, 0x00, 0x01], TestV1.Scalars.self) != nil)
  }

  @Test func `varints and lengths that go too far are refused`() {
    let long = Array(repeating: UInt8(0x80), count: 10) + [0x01]
    #expect(fault(Wire.tag(4, 0) + long, TestV1.Scalars.self) != nil)
    #expect(fault(Wire.tag(4, 0) + [0x80], TestV1.Scalars.self) != nil)
    #expect(fault(Wire.tag(14, 2) + [0x05, 0x61], TestV1.Scalars.self) != nil)
    #expect(fault(Wire.tag(14, 2) + Wire.varint(.max), TestV1.Scalars.self) != nil)
    #expect(fault(Wire.tag(14, 2) + Wire.varint(UInt64(Int32.max)), TestV1.Scalars.self) != nil)
    #expect(fault(Wire.field(9, [1, 2, 3]), TestV1.Lists.self) != nil)
    #expect(fault(Wire.field(10, [1, 2, 3, 4]), TestV1.Lists.self) != nil)
    #expect(fault(Wire.field(5, [0x80]), TestV1.Lists.self) != nil)
    #expect(fault(Wire.field(5, long), TestV1.Lists.self) != nil)
    #expect(fault(Wire.field(6, Wire.varint(.max)), TestV1.Lists.self) == nil)
    #expect(fault(Wire.tag(1, 1) + [1, 2], TestV1.Scalars.self) != nil)
    #expect(fault(Wire.tag(60, 2) + [3, 0], TestV1.Scalars.self) != nil)
  }

  @Test func `messages that would take too much memory are refused`() {
    let count = 100_000
    let cases: [(name: String, bytes: [UInt8])] = [
      ("empty messages", repeated(Wire.field(17, []), count)),
      ("empty strings", repeated(Wire.field(14, []), count)),
      ("unpacked numbers", repeated(Wire.tag(5, 0) + [1], count)),
      ("unknown fields", repeated(Wire.tag(90, 0) + [1], count)),
    ]
    for (name, bytes) in cases {
      let error = #expect(throws: RPCError.self, "\(name)") {
        try decode(bytes, as: TestV1.Lists.self)
      }
      #expect(error?.code == .resourceExhausted, "\(name)")
    }
  }

  @Test func `the largest honest messages are let through`() throws {
    var lists = TestV1.Lists()
    lists.uint32s = Array(repeating: 1, count: 4_000_000)
    #expect(try decode(encode(lists)) == lists)
    lists.uint32s = []
    lists.strings = Array(repeating: "to", count: 4096)
    lists.nested = Array(repeating: TestV1.Scalars.Nested(), count: 4096)
    #expect(try decode(encode(lists)) == lists)
  }

  @Test func `every prefix of a message is decoded or refused`() throws {
    for bytes in try sampleBytes() {
      for length in 0..<bytes.count {
        try tryOut(Array(bytes.prefix(length)))
      }
    }
  }

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func `damaged messages are decoded or refused`(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let samples = try sampleBytes()
    for _ in 0..<5000 {
      var bytes = samples.randomElement(using: &generator) ?? []
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        damage(&bytes, &generator)
      }
      try tryOut(bytes)
    }
  }

  // MARK: -

  /// What the decoder says against `bytes`: nil if it takes them.
  private func fault<Message: RPCMessage>(_ bytes: [UInt8], _: Message.Type) -> String? {
    do {
      _ = try decode(bytes, as: Message.self)
      return nil
    } catch {
      let error = error as? RPCError
      return error?.code == .invalidArgument ? error?.message : "\(String(describing: error))"
    }
  }

  private func repeated(_ field: [UInt8], _ count: Int) -> [UInt8] {
    Array(repeatElement(field, count: count).joined())
  }

  private func sampleBytes() throws -> [[UInt8]] {
    [
      try encode(Samples.scalars), try encode(Samples.lists), try encode(Samples.maps),
      try encode(Samples.choices), try encode(Samples.awkward),
      try encode(Samples.tree(depth: 20)),
    ]
  }

  private func damage(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
    guard !bytes.isEmpty else { return bytes.append(UInt8.random(in: 0...255, using: &generator)) }
    let index = Int.random(in: 0..<bytes.count, using: &generator)
    switch Int.random(in: 0..<4, using: &generator) {
    case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
    case 1: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
    case 2: bytes.remove(at: index)
    default: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: index)
    }
  }

  /// Decodes `bytes` as every message.
  ///
  /// What passes the check must unpack, within the memory that the check foretold, and come back
  /// from a second round as it was.
  private func tryOut(_ bytes: [UInt8]) throws {
    try tryOut(bytes, llmos__test__v1__scalars__descriptor, TestV1.Scalars.self)
    try tryOut(bytes, llmos__test__v1__lists__descriptor, TestV1.Lists.self)
    try tryOut(bytes, llmos__test__v1__maps__descriptor, TestV1.Maps.self)
    try tryOut(bytes, llmos__test__v1__choices__descriptor, TestV1.Choices.self)
    try tryOut(bytes, llmos__test__v1__tree__descriptor, TestV1.Tree.self)
    try tryOut(bytes, llmos__test__v1__awkward__descriptor, TestV1.Awkward.self)
  }

  private func tryOut<Message: RPCMessage>(
    _ bytes: [UInt8],
    _ descriptor: ProtobufCMessageDescriptor,
    _: Message.Type
  ) throws {
    try withUnsafePointer(to: descriptor) { descriptor in
      try bytes.withUnsafeBytes { raw in
        guard let foretold = try? WireCheck.check(raw, as: descriptor) else { return }
        var arena = Arena(firstBytes: foretold, limitBytes: foretold)
        let unpacked = Codec.unpack(raw, as: descriptor, in: &arena)
        #expect(unpacked != nil, "\(Message.self) \(hex(bytes))")
        let message = try Message(serialized: raw)
        let again = try encode(message)
        #expect(try encode(decode(again, as: Message.self)) == again)
      }
    }
  }
}
