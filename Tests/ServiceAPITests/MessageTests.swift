import RPC
import ServiceAPI
import Testing

@Suite struct MessageTests {
  @Test func `a message with every field set comes back as it was`() throws {
    #expect(try decode(encode(Samples.scalars)) == Samples.scalars)
    #expect(try decode(encode(Samples.lists)) == Samples.lists)
    #expect(try decode(encode(Samples.maps)) == Samples.maps)
    #expect(try decode(encode(Samples.choices)) == Samples.choices)
    #expect(try decode(encode(Samples.awkward)) == Samples.awkward)
    #expect(try decode(encode(Samples.tree(depth: 5))) == Samples.tree(depth: 5))
  }

  @Test func `a message at its defaults has no bytes`() throws {
    #expect(try encode(TestV1.Scalars()) == [])
    #expect(try encode(TestV1.Maps()) == [])
    #expect(try decode([]) == TestV1.Choices())
    #expect(try decode([]) == TestV1.Empty())
  }

  @Test func `bytes are those of Google's protobuf`() throws {
    // SerializeToString(deterministic=True) of the same values in Python.
    #expect(hex(try encode(Samples.scalars)) == Golden.scalars)
    #expect(hex(try encode(Samples.lists)) == Golden.lists)
    #expect(hex(try encode(Samples.choices)) == Golden.choices)
  }

  @Test func `encoding appends`() throws {
    var output: [UInt8] = [1, 2, 3]
    try Samples.nested(7, "x").serialize(into: &output)
    #expect(output == [1, 2, 3] + (try encode(Samples.nested(7, "x"))))
  }

  @Test(arguments: [
    TestV1.Choices.ChoiceOneof.number(0), .text(""), .data([]), .flag(false),
    .colour(.unspecified), .message(TestV1.Scalars.Nested()), .ratio(0), .again(TestV1.Choices()),
    .number(-1), .text("text"), .data([0]), .flag(true), .colour(TestV1.Colour(rawValue: 5)),
  ])
  func `the member of a oneof is kept, even with a default value`(
    choice: TestV1.Choices.ChoiceOneof
  ) throws {
    var message = TestV1.Choices()
    message.choice = choice
    #expect(try decode(encode(message)) == message)
  }

  @Test func `the last member of a oneof on the wire counts`() throws {
    let bytes = [0x20, 0x01] + Wire.field(5, Array("text".utf8)) + [0x38, 0x01]
    #expect(try decode(bytes, as: TestV1.Choices.self).choice == .flag(true))
  }

  @Test func `values of an enum that this code does not know are kept`() throws {
    var message = TestV1.Scalars()
    message.colour = TestV1.Colour(rawValue: -77)
    #expect(try decode(encode(message)) == message)
    #expect(message.colour.description == "-77")
    #expect(TestV1.Colour.darkBlue.description == "COLOUR_DARK_BLUE")
  }

  @Test func `fields that this code does not know are skipped`() throws {
    let unknown =
      Wire.tag(99, 0) + Wire.varint(.max) + Wire.tag(100, 1) + [1, 2, 3, 4, 5, 6, 7, 8]
      + Wire.field(101, [0xff, 0]) + Wire.tag(102, 5) + [1, 2, 3, 4]
    let known = try encode(Samples.scalars)
    #expect(try decode(unknown + known + unknown) == Samples.scalars)
    #expect(try decode(unknown) == TestV1.Empty())
  }

  @Test func `repeated numbers are read packed, unpacked and mixed`() throws {
    let packed = Wire.field(5, [1, 2])
    let unpacked = Wire.tag(5, 0) + [3]
    let bytes = packed + unpacked + Wire.field(5, []) + packed
    #expect(try decode(bytes, as: TestV1.Lists.self).uint32s == [1, 2, 3, 1, 2])
    let unpackedField = Wire.field(18, [9, 8])
    #expect(try decode(unpackedField, as: TestV1.Lists.self).unpacked == [9, 8])
  }

  @Test func `equal maps have equal bytes, whatever their order`() throws {
    var first = TestV1.Maps()
    var second = TestV1.Maps()
    for key in 0..<100 { first.byInt32[Int32(key)] = [1] }
    for key in (0..<100).reversed() { second.byInt32[Int32(key)] = [1] }
    #expect(try encode(first) == encode(second))
  }

  @Test func `the last value of a key counts`() throws {
    let entry = { (value: String) in
      Wire.field(1, Wire.field(1, [0x61]) + Wire.field(2, Array(value.utf8)))
    }
    #expect(
      try decode(entry("one") + entry("two"), as: TestV1.Maps.self).byName == ["a": "two"]
    )
  }

  @Test func `text that a model made is carried with U+FFFD in the place of NUL`() throws {
    var chunk = InferenceV1.Chunk()
    chunk.text = "a\0b\0".carried
    #expect(try decode(encode(chunk), as: InferenceV1.Chunk.self).text == "a\u{FFFD}b\u{FFFD}")
    #expect("as it was".carried == "as it was")
  }

  @Test func `a string with a NUL is not sent`() throws {
    var request = TokenizerV1.EncodeRequest()
    request.text = "cut\0here"
    let error = #expect(throws: RPCError.self) { try encode(request) }
    #expect(error?.code == .internal)
    #expect(
      error?.message == "llmos.tokenizer.v1.EncodeRequest.text: the string holds a NUL character"
    )

    var lists = TestV1.Lists()
    lists.strings = ["fine", "\0"]
    #expect(throws: RPCError.self) { try encode(lists) }
    var maps = TestV1.Maps()
    maps.byName = ["\0": ""]
    #expect(throws: RPCError.self) { try encode(maps) }
  }

  @Test func `a message nested too deep is not sent`() throws {
    #expect(try decode(encode(Samples.tree(depth: 100))) == Samples.tree(depth: 100))
    let error = #expect(throws: RPCError.self) { try encode(Samples.tree(depth: 101)) }
    #expect(error?.code == .internal)
    #expect(error?.message == "llmos.test.v1.Tree: nested deeper than 100 messages")
  }

  @Test func `long texts and lists survive`() throws {
    var request = TokenizerV1.EncodeResponse()
    for _ in 0..<50 {
      var window = TokenizerV1.Encoding()
      window.ids = Array(0..<2000)
      window.tokens = (0..<2000).map { "token\($0)" }
      window.wordIDs = (0..<2000).map { $0 - 1 }
      window.special = Array(repeating: true, count: 2000)
      request.windows.append(window)
    }
    #expect(try decode(encode(request)) == request)
  }
}
