package import CProtobufC
package import RPC

/// Checks the bytes of a message against its descriptor before protobuf-c reads them.
///
/// protobuf-c 1.4 recurses without a limit, takes invalid UTF-8, cuts strings at a NUL, merges a
/// submessage that appears twice wrongly, and needs many times the memory of hostile input. None of
/// that reaches it: recursion here is bounded by `nestingMax`, time is linear in the bytes, and no
/// memory is allocated. Wire format: https://protobuf.dev/programming-guides/encoding
package struct WireCheck {
  /// How deep messages may be nested in the outermost one, as in Google's implementations.
  package static let nestingMax = 100
  /// What a message of any size may take up while it is decoded.
  package static let memoryBaseBytes = 1 << 20
  /// What a message may take up beyond that for each of its encoded bytes.
  ///
  /// Packed numbers take up to 8, lists of short strings about 10; only empty or unpacked elements
  /// by the thousand take more.
  package static let memoryFactor = 16
  /// Field numbers have 29 bits.
  private static let fieldNumberMax: UInt64 = (1 << 29) - 1
  /// The longest varint, that of a 64-bit integer.
  private static let varintBytesMax = 10
  /// The longest varint of 32 bits: a tag or a length.
  private static let shortVarintBytesMax = 5

  private let bytes: UnsafeRawBufferPointer
  private var position = 0
  private var memoryBytes = 0
  private let memoryBytesMax: Int

  /// The most memory that decoding a message of `encodedBytes` may take.
  package static func memoryBytesMax(encodedBytes: Int) -> Int {
    memoryBaseBytes + memoryFactor * encodedBytes
  }

  /// Throws INVALID_ARGUMENT if `bytes` are not a message that `descriptor` describes, and
  /// RESOURCE_EXHAUSTED if decoding them would take too much memory.
  ///
  /// - Returns: the bytes that protobuf-c will allocate at most.
  package static func check(
    _ bytes: UnsafeRawBufferPointer,
    as descriptor: UnsafePointer<ProtobufCMessageDescriptor>
  ) throws(RPCError) -> Int {
    var check = WireCheck(
      bytes: bytes,
      memoryBytesMax: memoryBytesMax(encodedBytes: bytes.count)
    )
    try check.message(MessageShape(descriptor), end: bytes.count, depth: 0)
    return check.memoryBytes
  }

  private init(bytes: UnsafeRawBufferPointer, memoryBytesMax: Int) {
    self.bytes = bytes
    self.memoryBytesMax = memoryBytesMax
  }

  private mutating func message(_ shape: MessageShape, end: Int, depth: Int) throws(RPCError) {
    guard depth <= Self.nestingMax else {
      throw shape.fault("nested deeper than \(Self.nestingMax) messages")
    }
    var fieldCount = 0
    var seen = SeenFields()
    try take(shape.structBytes, shape)
    while position < end {
      let tag = try varint(end, Self.shortVarintBytesMax, shape, nil)
      let number = tag >> 3
      guard number > 0, number <= Self.fieldNumberMax else {
        throw shape.fault("a field has the number \(number)")
      }
      guard let wire = WireType(rawValue: UInt8(tag & 7)) else {
        throw shape.fault("field \(number): groups and wire type \(tag & 7) are not supported")
      }
      fieldCount += 1
      try take(ScannedFields.bytes(adding: fieldCount), shape)
      if let field = shape.field(number: UInt32(number)) {
        try known(field, wire, &seen, end: end, depth: depth)
      } else {
        try unknown(wire, shape, end: end)
      }
    }
  }

  private mutating func unknown(
    _ wire: WireType,
    _ shape: MessageShape,
    end: Int
  )
    throws(RPCError)
  {
    let start = position
    switch wire {
    case .varint: _ = try varint(end, Self.varintBytesMax, shape, nil)
    case .fixed64: try skip(8, end, shape, nil)
    case .fixed32: try skip(4, end, shape, nil)
    case .lengthPrefixed:
      let length = try length(end, shape, nil)
      position += length
    }
    // protobuf-c keeps what it does not know: a record and a copy of the bytes.
    try take(MemoryLayout<ProtobufCMessageUnknownField>.stride + position - start, shape)
  }

  private mutating func known(
    _ field: FieldShape,
    _ wire: WireType,
    _ seen: inout SeenFields,
    end: Int,
    depth: Int
  ) throws(RPCError) {
    let shape = field.message
    guard wire == field.wire || (wire == .lengthPrefixed && field.isPackable) else {
      throw shape.fault("wire type \(wire.rawValue) instead of \(field.wire.rawValue)", field)
    }
    if field.isRepeated { try take(field.elementBytes, shape) }
    switch wire {
    case .varint: _ = try varint(end, Self.varintBytesMax, shape, field)
    case .fixed64: try skip(8, end, shape, field)
    case .fixed32: try skip(4, end, shape, field)
    case .lengthPrefixed:
      let length = try length(end, shape, field)
      let stop = position + length
      switch field.type {
      case PROTOBUF_C_TYPE_STRING:
        try string(field, stop)
        try take(length + 1, shape)
      case PROTOBUF_C_TYPE_BYTES:
        position = stop
        try take(length, shape)
      case PROTOBUF_C_TYPE_MESSAGE:
        guard field.isRepeated || seen.insert(field.index) else {
          throw shape.fault("a message that appears more than once", field)
        }
        guard let submessage = field.submessage else {
          throw shape.fault("no descriptor", field)
        }
        try self.message(submessage, end: stop, depth: depth + 1)
      default:
        try packed(field, stop)
      }
    }
  }

  private mutating func packed(_ field: FieldShape, _ stop: Int) throws(RPCError) {
    let shape = field.message
    let length = stop - position
    switch field.wire {
    case .fixed32, .fixed64:
      let size = field.wire == .fixed32 ? 4 : 8
      guard length.isMultiple(of: size) else {
        throw shape.fault("\(length) packed bytes are not a multiple of \(size)", field)
      }
      position = stop
      try take(length, shape)
    case .varint, .lengthPrefixed:
      let count = try countVarints(field, stop)
      // protobuf-c reserves an element for every byte of packed booleans.
      let reserved = field.type == PROTOBUF_C_TYPE_BOOL ? length : count
      try take(reserved * field.elementBytes, shape)
    }
  }

  /// Skips the varints up to `stop`, without their values: token ids are most of the traffic.
  private mutating func countVarints(_ field: FieldShape, _ stop: Int) throws(RPCError) -> Int {
    var count = 0
    var continued = 0
    for byte in UnsafeRawBufferPointer(rebasing: bytes[position..<stop]) {
      if byte < 0x80 {
        count += 1
        continued = 0
      } else {
        continued += 1
        guard continued < Self.varintBytesMax else {
          throw field.message.fault("a varint is too long", field)
        }
      }
    }
    guard continued == 0 else { throw field.message.fault("cut short", field) }
    position = stop
    return count
  }

  private mutating func string(_ field: FieldShape, _ stop: Int) throws(RPCError) {
    switch UTF8Check.check(UnsafeRawBufferPointer(rebasing: bytes[position..<stop])) {
    case .valid: position = stop
    case .holdsNUL: throw field.message.fault("the string holds a NUL character", field)
    case .invalid: throw field.message.fault("the string is not valid UTF-8", field)
    }
  }

  // MARK: Reading

  private mutating func varint(
    _ end: Int,
    _ lengthMax: Int,
    _ shape: MessageShape,
    _ field: FieldShape?
  ) throws(RPCError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    let stop = min(end, position + lengthMax)
    while position < stop {
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
    throw shape.fault(stop == end ? "cut short" : "a varint is too long", field)
  }

  private mutating func length(
    _ end: Int,
    _ shape: MessageShape,
    _ field: FieldShape?
  )
    throws(RPCError) -> Int
  {
    let length = try varint(end, Self.shortVarintBytesMax, shape, field)
    guard length <= UInt64(end - position) else {
      throw shape.fault("cut short: \(length) bytes announced, \(end - position) left", field)
    }
    return Int(length)
  }

  private mutating func skip(
    _ count: Int,
    _ end: Int,
    _ shape: MessageShape,
    _ field: FieldShape?
  ) throws(RPCError) {
    guard count <= end - position else { throw shape.fault("cut short", field) }
    position += count
  }

  /// Counts an allocation of protobuf-c, rounded up as the arena does.
  private mutating func take(_ count: Int, _ shape: MessageShape) throws(RPCError) {
    memoryBytes += (count + Arena.alignmentBytes - 1) & ~(Arena.alignmentBytes - 1)
    guard memoryBytes <= memoryBytesMax else {
      throw RPCError(
        .resourceExhausted,
        "\(shape.name): decoding \(bytes.count) bytes would take more than \(memoryBytesMax)"
      )
    }
  }
}

/// The wire types in use; 3 and 4 are the groups of old.
enum WireType: UInt8 {
  case varint = 0
  case fixed64 = 1
  case lengthPrefixed = 2
  case fixed32 = 5
}
