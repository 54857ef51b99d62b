import CProtobufC
import RPC

/// What the wire check reads of a message's descriptor.
struct MessageShape {
  private let descriptor: UnsafePointer<ProtobufCMessageDescriptor>

  init(_ descriptor: UnsafePointer<ProtobufCMessageDescriptor>) { self.descriptor = descriptor }

  /// The full name, as in the .proto file.
  var name: String { String(cString: descriptor.pointee.name) }

  /// The size of the C struct, and of the bitmap of required fields that protobuf-c allocates for a
  /// message with many fields.
  var structBytes: Int {
    descriptor.pointee.sizeof_message + Int(descriptor.pointee.n_fields) / 8
  }

  /// Finds a field by its number in the descriptor's runs of consecutive numbers.
  func field(number: UInt32) -> FieldShape? {
    guard let fields = descriptor.pointee.fields, let runs = descriptor.pointee.field_ranges else {
      return nil
    }
    let number = Int(number)
    var low = 0
    var high = Int(descriptor.pointee.n_field_ranges)
    while low < high {
      let middle = (low + high) / 2
      let run = runs[middle]
      // The run after the last is a sentinel that holds the number of fields.
      let length = Int(runs[middle + 1].orig_index) - Int(run.orig_index)
      let offset = number - Int(run.start_value)
      if offset < 0 {
        high = middle
      } else if offset >= length {
        low = middle + 1
      } else {
        let index = Int(run.orig_index) + offset
        return FieldShape(message: self, index: index, descriptor: fields + index)
      }
    }
    return nil
  }

  func fault(_ reason: String, _ field: FieldShape? = nil) -> RPCError {
    let place = field.map { "\(name).\($0.name)" } ?? name
    return RPCError(.invalidArgument, "\(place): \(reason)")
  }
}

/// What the wire check reads of a field's descriptor.
struct FieldShape {
  let message: MessageShape
  /// The field's place in the message's descriptor.
  let index: Int
  let descriptor: UnsafePointer<ProtobufCFieldDescriptor>

  var name: String { String(cString: descriptor.pointee.name) }
  var type: ProtobufCType { descriptor.pointee.type }
  var isRepeated: Bool { descriptor.pointee.label == PROTOBUF_C_LABEL_REPEATED }
  var isPackable: Bool { isRepeated && wire != .lengthPrefixed }

  var submessage: MessageShape? {
    descriptor.pointee.descriptor.map {
      // SAFETY: for a field of type MESSAGE this is the submessage's descriptor.
      MessageShape($0.assumingMemoryBound(to: ProtobufCMessageDescriptor.self))
    }
  }

  /// The wire type of one element.
  var wire: WireType {
    switch type {
    case PROTOBUF_C_TYPE_STRING, PROTOBUF_C_TYPE_BYTES, PROTOBUF_C_TYPE_MESSAGE: .lengthPrefixed
    case PROTOBUF_C_TYPE_FIXED32, PROTOBUF_C_TYPE_SFIXED32, PROTOBUF_C_TYPE_FLOAT: .fixed32
    case PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_SFIXED64, PROTOBUF_C_TYPE_DOUBLE: .fixed64
    default: .varint
    }
  }

  /// The size of one element of a repeated field in C.
  var elementBytes: Int {
    switch type {
    case PROTOBUF_C_TYPE_INT32, PROTOBUF_C_TYPE_SINT32, PROTOBUF_C_TYPE_UINT32,
      PROTOBUF_C_TYPE_SFIXED32, PROTOBUF_C_TYPE_FIXED32, PROTOBUF_C_TYPE_FLOAT,
      PROTOBUF_C_TYPE_ENUM, PROTOBUF_C_TYPE_BOOL:
      4
    case PROTOBUF_C_TYPE_BYTES: MemoryLayout<ProtobufCBinaryData>.stride
    default: 8
    }
  }
}

/// The singular submessages of one message that have been met.
struct SeenFields {
  private var first: UInt64 = 0
  private var others: Set<Int> = []

  /// Returns whether `index` is new.
  mutating func insert(_ index: Int) -> Bool {
    guard index < UInt64.bitWidth else { return others.insert(index).inserted }
    let bit: UInt64 = 1 << UInt64(index)
    defer { first |= bit }
    return first & bit == 0
  }
}

/// protobuf-c's list of the fields it met in one message (`ScannedMember` in protobuf-c.c): 16 on
/// the stack, then slabs of 32, 64 and so on from the allocator.
enum ScannedFields {
  private static let recordBytes = 32
  private static let stackCount = 16

  /// The size of the slab that the field with this count, from 1, makes necessary; else 0.
  static func bytes(adding count: Int) -> Int {
    // The slabs before hold 16 + 32 + … = 16 (2^k - 1) fields.
    guard count > stackCount, (count - 1).isMultiple(of: stackCount) else { return 0 }
    let full = (count - 1) / stackCount + 1
    return full & (full - 1) == 0 ? full * stackCount * recordBytes : 0
  }
}
