import RPC

/// The messages of gRPC's `grpc.testing.TestService`, written by hand: the tests of RPC depend on
/// no generated code.
protocol TestMessage: RPCMessage, Equatable {
  init()
  /// Takes one field; those that are not known are passed over.
  mutating func read(_ field: Int, _ value: ProtoValue) throws(RPCError)
  /// Appends every field that is not at its default.
  func write(to fields: inout ProtoFields)
}

/// The value of a protobuf field, as far as these messages need it.
enum ProtoValue {
  case number(UInt64)
  case bytes([UInt8])

  var int: Int { if case .number(let number) = self { Int(truncatingIfNeeded: number) } else { 0 } }
  var bool: Bool { int != 0 }
  var bytes: [UInt8] { if case .bytes(let bytes) = self { bytes } else { [] } }
  var text: String { String(decoding: bytes, as: UTF8.self) }

  func message<M: TestMessage>(_ type: M.Type) throws(RPCError) -> M { try M(bytes) }
}

/// Encodes protobuf's fields.
struct ProtoFields {
  private(set) var bytes: [UInt8] = []

  mutating func number(_ field: Int, _ value: Int) {
    guard value != 0 else { return }
    varint(UInt64(field << 3))
    varint(UInt64(bitPattern: Int64(value)))
  }

  mutating func bytes(_ field: Int, _ value: [UInt8]) {
    guard !value.isEmpty else { return }
    varint(UInt64(field << 3 | 2))
    varint(UInt64(value.count))
    bytes += value
  }

  mutating func message(_ field: Int, _ value: (any TestMessage)?) {
    guard let value else { return }
    var inner = ProtoFields()
    value.write(to: &inner)
    varint(UInt64(field << 3 | 2))
    varint(UInt64(inner.bytes.count))
    bytes += inner.bytes
  }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f | 0x80))
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

extension TestMessage {
  init(_ bytes: [UInt8]) throws(RPCError) {
    self.init()
    var rest = bytes[...]
    while !rest.isEmpty {
      let key = try Self.varint(&rest)
      let field = Int(key >> 3)
      switch key & 7 {
      case 0: try read(field, .number(Self.varint(&rest)))
      case 2:
        let count = Int(clamping: try Self.varint(&rest))
        guard count <= rest.count else { throw Self.malformed }
        try read(field, .bytes(Array(rest.prefix(count))))
        rest = rest.dropFirst(count)
      default: throw Self.malformed
      }
    }
  }

  init(serialized bytes: UnsafeRawBufferPointer) throws(RPCError) {
    try self.init(Array(bytes))
  }

  func serialize(into output: inout [UInt8]) throws(RPCError) {
    var fields = ProtoFields()
    write(to: &fields)
    output += fields.bytes
  }

  private static func varint(_ bytes: inout ArraySlice<UInt8>) throws(RPCError) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = bytes.popFirst() else { throw malformed }
      value |= UInt64(byte & 0x7f) << shift
      if byte & 0x80 == 0 { return value }
    }
    throw malformed
  }

  private static var malformed: RPCError { RPCError(.invalidArgument, "\(Self.self): malformed") }
}

struct EmptyMessage: TestMessage {
  mutating func read(_ field: Int, _ value: ProtoValue) {}
  func write(to fields: inout ProtoFields) {}
}

struct BoolValue: TestMessage {
  var value = false

  mutating func read(_ field: Int, _ value: ProtoValue) {
    if field == 1 { self.value = value.bool }
  }
  func write(to fields: inout ProtoFields) { fields.number(1, value ? 1 : 0) }
}

struct Payload: TestMessage {
  var body: [UInt8] = []

  init() {}
  init(size: Int) { body = [UInt8](repeating: 0, count: size) }

  mutating func read(_ field: Int, _ value: ProtoValue) { if field == 2 { body = value.bytes } }
  func write(to fields: inout ProtoFields) { fields.bytes(2, body) }
}

struct EchoStatus: TestMessage {
  var code = 0
  var message = ""

  mutating func read(_ field: Int, _ value: ProtoValue) {
    if field == 1 { code = value.int } else if field == 2 { message = value.text }
  }
  func write(to fields: inout ProtoFields) {
    fields.number(1, code)
    fields.bytes(2, Array(message.utf8))
  }
}

struct SimpleRequest: TestMessage {
  var responseSize = 0
  var payload: Payload?
  var responseCompressed: BoolValue?
  var responseStatus: EchoStatus?
  var expectCompressed: BoolValue?

  mutating func read(_ field: Int, _ value: ProtoValue) throws(RPCError) {
    switch field {
    case 2: responseSize = value.int
    case 3: payload = try value.message(Payload.self)
    case 6: responseCompressed = try value.message(BoolValue.self)
    case 7: responseStatus = try value.message(EchoStatus.self)
    case 8: expectCompressed = try value.message(BoolValue.self)
    default: break
    }
  }
  func write(to fields: inout ProtoFields) {
    fields.number(2, responseSize)
    fields.message(3, payload)
    fields.message(6, responseCompressed)
    fields.message(7, responseStatus)
    fields.message(8, expectCompressed)
  }
}

struct SimpleResponse: TestMessage {
  var payload: Payload?

  mutating func read(_ field: Int, _ value: ProtoValue) throws(RPCError) {
    if field == 1 { payload = try value.message(Payload.self) }
  }
  func write(to fields: inout ProtoFields) { fields.message(1, payload) }
}

struct StreamingInputRequest: TestMessage {
  var payload: Payload?
  var expectCompressed: BoolValue?

  mutating func read(_ field: Int, _ value: ProtoValue) throws(RPCError) {
    switch field {
    case 1: payload = try value.message(Payload.self)
    case 2: expectCompressed = try value.message(BoolValue.self)
    default: break
    }
  }
  func write(to fields: inout ProtoFields) {
    fields.message(1, payload)
    fields.message(2, expectCompressed)
  }
}

struct StreamingInputResponse: TestMessage {
  var aggregatedPayloadSize = 0

  mutating func read(_ field: Int, _ value: ProtoValue) {
    if field == 1 { aggregatedPayloadSize = value.int }
  }
  func write(to fields: inout ProtoFields) { fields.number(1, aggregatedPayloadSize) }
}

struct ResponseParameters: TestMessage {
  var size = 0
  var intervalMicroseconds = 0
  var compressed: BoolValue?

  mutating func read(_ field: Int, _ value: ProtoValue) throws(RPCError) {
    switch field {
    case 1: size = value.int
    case 2: intervalMicroseconds = value.int
    case 3: compressed = try value.message(BoolValue.self)
    default: break
    }
  }
  func write(to fields: inout ProtoFields) {
    fields.number(1, size)
    fields.number(2, intervalMicroseconds)
    fields.message(3, compressed)
  }
}

struct StreamingOutputRequest: TestMessage {
  var parameters: [ResponseParameters] = []
  var payload: Payload?
  var responseStatus: EchoStatus?

  mutating func read(_ field: Int, _ value: ProtoValue) throws(RPCError) {
    switch field {
    case 2: parameters.append(try value.message(ResponseParameters.self))
    case 3: payload = try value.message(Payload.self)
    case 7: responseStatus = try value.message(EchoStatus.self)
    default: break
    }
  }
  func write(to fields: inout ProtoFields) {
    for entry in parameters { fields.message(2, entry) }
    fields.message(3, payload)
    fields.message(7, responseStatus)
  }
}

struct StreamingOutputResponse: TestMessage {
  var payload: Payload?

  mutating func read(_ field: Int, _ value: ProtoValue) throws(RPCError) {
    if field == 1 { payload = try value.message(Payload.self) }
  }
  func write(to fields: inout ProtoFields) { fields.message(1, payload) }
}
