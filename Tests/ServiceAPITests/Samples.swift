import RPC
import ServiceAPI

/// Encodes a message into bytes of its own.
func encode<Message: RPCMessage>(_ message: Message) throws(RPCError) -> [UInt8] {
  var bytes: [UInt8] = []
  try message.serialize(into: &bytes)
  return bytes
}

/// Decodes bytes into a message of the type asked for.
func decode<Message: RPCMessage>(
  _ bytes: [UInt8],
  as _: Message.Type = Message.self
) throws
  -> Message
{
  try bytes.withUnsafeBytes { try Message(serialized: $0) }
}

/// The bytes of hexadecimal digits, or "-" for none.
func bytes(hex: some StringProtocol) -> [UInt8] {
  guard hex != "-" else { return [] }
  let digits = hex.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// Hexadecimal digits, or "-" for no bytes.
func hex(_ bytes: [UInt8]) -> String {
  guard !bytes.isEmpty else { return "-" }
  return bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// A varint, the tag of a field, and a field with a length.
enum Wire {
  static func varint(_ value: UInt64) -> [UInt8] {
    var value = value
    var bytes: [UInt8] = []
    while value >= 0x80 {
      bytes.append(UInt8(value & 0x7f) | 0x80)
      value >>= 7
    }
    return bytes + [UInt8(value)]
  }

  static func tag(_ number: UInt64, _ wireType: UInt64) -> [UInt8] {
    varint(number << 3 | wireType)
  }

  static func field(_ number: UInt64, _ content: [UInt8]) -> [UInt8] {
    tag(number, 2) + varint(UInt64(content.count)) + content
  }
}

/// A generator of random numbers that gives the same ones for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

/// Messages with every field set.
enum Samples {
  static var scalars: TestV1.Scalars {
    var message = TestV1.Scalars()
    message.doubleValue = -1.5
    message.floatValue = 0.1
    message.int32Value = -1
    message.int64Value = .min
    message.uint32Value = .max
    message.uint64Value = .max
    message.sint32Value = .min
    message.sint64Value = -2
    message.fixed32Value = 4
    message.fixed64Value = .max
    message.sfixed32Value = -5
    message.sfixed64Value = .min
    message.boolValue = true
    message.stringValue = "Grüße, 日本 🙂"
    message.bytesValue = [0, 255, 7]
    message.colour = .darkBlue
    message.nested = nested(7, "seven")
    message.kind = .great
    return message
  }

  static var lists: TestV1.Lists {
    var message = TestV1.Lists()
    message.doubles = [0, -1.5, .infinity]
    message.floats = [0.1, 2]
    message.int32s = [-1, 0, .max]
    message.int64s = [.min, 1]
    message.uint32s = [0, .max, 300]
    message.uint64s = [.max]
    message.sint32s = [-1, 1, .min]
    message.sint64s = [.min, .max]
    message.fixed32s = [1, 2, 3]
    message.fixed64s = [.max, 0]
    message.sfixed32s = [-1]
    message.sfixed64s = [-1, .min]
    message.bools = [true, false, true]
    message.strings = ["", "a", "ü"]
    message.byteStrings = [[], [0], [1, 2]]
    message.colours = [.red, .none, TestV1.Colour(rawValue: 12)]
    message.nested = [TestV1.Scalars.Nested(), nested(1, "one")]
    message.unpacked = [1, 2, 300]
    return message
  }

  static var maps: TestV1.Maps {
    var message = TestV1.Maps()
    message.byName = ["": "empty", "a": "", "ü": "é"]
    message.byInt32 = [-1: [1], 0: []]
    message.bySint64 = [.min: 0.5, .max: 0]
    message.byFixed32 = [7: true, 0: false]
    message.byBool = [true: .red, false: .none]
    message.messages = [1: nested(1, "one"), 0: TestV1.Scalars.Nested()]
    message.trees = ["t": tree(depth: 3)]
    return message
  }

  static var choices: TestV1.Choices {
    var message = TestV1.Choices()
    message.limit = 0
    message.label = ""
    message.nested = TestV1.Scalars.Nested()
    message.choice = .again(TestV1.Choices())
    message.other = .first
    return message
  }

  static var awkward: TestV1.Awkward {
    var message = TestV1.Awkward()
    message.`default` = true
    message.`in` = "in"
    message.self_ = 3
    message.init_ = 4
    message.`class` = [5]
    message.type = TestV1.Awkward.TypeMessage()
    message.type?.where = "there"
    message.promptIDs = [7]
    message.imageURL = "http://example.org"
    message.camelCase = "camel"
    message.`switch` = ["on": 1]
    message.int = ["eleven"]
    return message
  }

  static func nested(_ id: UInt32, _ name: String) -> TestV1.Scalars.Nested {
    var message = TestV1.Scalars.Nested()
    message.id = id
    message.name = name
    message.kind = .good
    return message
  }

  /// A chain of left children, `depth` messages below the root.
  static func tree(depth: Int) -> TestV1.Tree {
    var tree = TestV1.Tree()
    for level in 0..<depth {
      var parent = TestV1.Tree()
      parent.value = UInt32(level)
      parent.left = tree
      tree = parent
    }
    return tree
  }

  /// The encoding of one message inside another, `depth` times.
  static func nestedBytes(depth: Int) -> [UInt8] {
    // Built from the inside out, reversed, so that a long one takes linear time.
    var reversed: [UInt8] = []
    for _ in 0..<depth {
      reversed += (Wire.tag(2, 2) + Wire.varint(UInt64(reversed.count))).reversed()
    }
    return reversed.reversed()
  }
}
