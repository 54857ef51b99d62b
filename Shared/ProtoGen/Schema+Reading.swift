import CDescriptor

typealias CFile = Google__Protobuf__FileDescriptorProto
typealias CMessage = Google__Protobuf__DescriptorProto
typealias CField = Google__Protobuf__FieldDescriptorProto
typealias CEnum = Google__Protobuf__EnumDescriptorProto
typealias CService = Google__Protobuf__ServiceDescriptorProto
typealias CLocation = Google__Protobuf__SourceCodeInfo__Location

/// Reads a list of protobuf-c: an array of pointers and its length.
func list<C, Value>(
  _ pointers: UnsafeMutablePointer<UnsafeMutablePointer<C>?>?,
  _ count: Int,
  _ convert: (Int, UnsafeMutablePointer<C>) throws(ProtoGenError) -> Value
) throws(ProtoGenError) -> [Value] {
  guard let pointers else { return [] }
  var values: [Value] = []
  for index in 0..<count {
    guard let element = pointers[index] else { continue }
    values.append(try convert(index, element))
  }
  return values
}

/// Reads a string of protobuf-c; an absent one is empty.
func text(_ pointer: UnsafePointer<CChar>?) -> String {
  pointer.map { String(cString: $0) } ?? ""
}

/// The comments of a .proto file by the path of what they describe (descriptor.proto,
/// SourceCodeInfo.Location).
struct Comments {
  /// Field numbers of descriptor.proto, the steps of a path.
  enum Step {
    static let fileMessage: Int32 = 4
    static let fileEnum: Int32 = 5
    static let fileService: Int32 = 6
    static let fileSyntax: Int32 = 12
    static let messageField: Int32 = 2
    static let messageMessage: Int32 = 3
    static let messageEnum: Int32 = 4
    static let messageOneof: Int32 = 8
    static let enumValue: Int32 = 2
    static let serviceMethod: Int32 = 2
  }

  private var byPath: [[Int32]: String] = [:]

  init(
    _ info: UnsafeMutablePointer<Google__Protobuf__SourceCodeInfo>?
  )
    throws(ProtoGenError)
  {
    guard let info else { return }
    let locations = try list(info.pointee.location, info.pointee.n_location) {
      (_, location) throws(ProtoGenError) in location
    }
    for location in locations {
      let leading = text(location.pointee.leading_comments)
      let trailing = text(location.pointee.trailing_comments)
      let comment = [leading, trailing].filter { !$0.isEmpty }.joined(separator: "\n")
      guard !comment.isEmpty else { continue }
      let path = UnsafeBufferPointer(start: location.pointee.path, count: location.pointee.n_path)
      byPath[Array(path)] = comment
    }
  }

  subscript(_ path: [Int32]) -> String { byPath[path] ?? "" }
}

/// Turns protobuf-c's view of a file into the schema.
struct SchemaReader {
  private typealias Step = Comments.Step
  private let comments: Comments

  static func read(_ file: UnsafeMutablePointer<CFile>) throws(ProtoGenError) -> ProtoFile {
    let reader = SchemaReader(comments: try Comments(file.pointee.source_code_info))
    let package = text(file.pointee.package)
    let scope = package.isEmpty ? "" : ".\(package)"
    return ProtoFile(
      name: text(file.pointee.name),
      package: package,
      syntax: text(file.pointee.syntax),
      comment: reader.comments[[Step.fileSyntax]],
      messages: try list(file.pointee.message_type, file.pointee.n_message_type) {
        (index, message) throws(ProtoGenError) in
        try reader.message(message, scope, [Step.fileMessage, Int32(index)])
      },
      enums: try list(file.pointee.enum_type, file.pointee.n_enum_type) {
        (index, value) throws(ProtoGenError) in
        try reader.enumeration(value, scope, [Step.fileEnum, Int32(index)])
      },
      services: try list(file.pointee.service, file.pointee.n_service) {
        (index, service) throws(ProtoGenError) in
        try reader.service(service, scope, [Step.fileService, Int32(index)])
      },
      descriptor: serialized(file)
    )
  }

  private func message(
    _ message: UnsafeMutablePointer<CMessage>,
    _ scope: String,
    _ path: [Int32]
  ) throws(ProtoGenError) -> ProtoMessage {
    let c = message.pointee
    let fullName = "\(scope).\(text(c.name))"
    return ProtoMessage(
      name: text(c.name),
      fullName: fullName,
      comment: comments[path],
      fields: try list(c.field, c.n_field) { (index, field) throws(ProtoGenError) in
        try self.field(field, fullName, path + [Step.messageField, Int32(index)])
      },
      oneofs: try list(c.oneof_decl, c.n_oneof_decl) { (index, oneof) throws(ProtoGenError) in
        ProtoOneof(
          name: text(oneof.pointee.name),
          comment: comments[path + [Step.messageOneof, Int32(index)]]
        )
      },
      messages: try list(c.nested_type, c.n_nested_type) { (index, nested) throws(ProtoGenError) in
        try self.message(nested, fullName, path + [Step.messageMessage, Int32(index)])
      },
      enums: try list(c.enum_type, c.n_enum_type) { (index, nested) throws(ProtoGenError) in
        try enumeration(nested, fullName, path + [Step.messageEnum, Int32(index)])
      },
      isMapEntry: c.options.map { $0.pointee.map_entry != 0 } ?? false
    )
  }

  private func field(
    _ field: UnsafeMutablePointer<CField>,
    _ scope: String,
    _ path: [Int32]
  )
    throws(ProtoGenError) -> ProtoField
  {
    let c = field.pointee
    return ProtoField(
      name: text(c.name),
      number: c.number,
      comment: comments[path],
      type: try type(c, scope),
      isRepeated: c.label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED,
      isDeprecated: c.options.map { $0.pointee.deprecated != 0 } ?? false,
      oneof: c.has_oneof_index != 0 ? Int(c.oneof_index) : nil
    )
  }

  private func type(_ c: CField, _ scope: String) throws(ProtoGenError) -> ProtoType {
    switch c.type {
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_DOUBLE: .number(.double)
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FLOAT: .number(.float)
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT64,
      GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SFIXED64,
      GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SINT64:
      .number(.int64)
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT64,
      GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FIXED64:
      .number(.uint64)
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_INT32,
      GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SFIXED32,
      GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_SINT32:
      .number(.int32)
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_UINT32,
      GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_FIXED32:
      .number(.uint32)
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BOOL: .bool
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_STRING: .string
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_BYTES: .bytes
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_MESSAGE: .message(text(c.type_name))
    case GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_ENUM:
      .enumeration(text(c.type_name))
    default:
      throw ProtoGenError(
        .unsupported,
        "\(scope).\(text(c.name)): field type \(c.type.rawValue)"
      )
    }
  }

  private func enumeration(
    _ value: UnsafeMutablePointer<CEnum>,
    _ scope: String,
    _ path: [Int32]
  ) throws(ProtoGenError) -> ProtoEnum {
    let c = value.pointee
    return ProtoEnum(
      name: text(c.name),
      fullName: "\(scope).\(text(c.name))",
      comment: comments[path],
      values: try list(c.value, c.n_value) { (index, value) throws(ProtoGenError) in
        ProtoEnumValue(
          name: text(value.pointee.name),
          number: value.pointee.number,
          comment: comments[path + [Step.enumValue, Int32(index)]]
        )
      }
    )
  }

  private func service(
    _ service: UnsafeMutablePointer<CService>,
    _ scope: String,
    _ path: [Int32]
  ) throws(ProtoGenError) -> ProtoService {
    let c = service.pointee
    return ProtoService(
      name: text(c.name),
      fullName: "\(scope).\(text(c.name))",
      comment: comments[path],
      methods: try list(c.method, c.n_method) { (index, method) throws(ProtoGenError) in
        ProtoMethod(
          name: text(method.pointee.name),
          comment: comments[path + [Step.serviceMethod, Int32(index)]],
          input: text(method.pointee.input_type),
          output: text(method.pointee.output_type),
          clientStreams: method.pointee.client_streaming != 0,
          serverStreams: method.pointee.server_streaming != 0
        )
      }
    )
  }

  /// The file's descriptor as reflection serves it: without the comments.
  private static func serialized(_ file: UnsafeMutablePointer<CFile>) -> [UInt8] {
    let comments = file.pointee.source_code_info
    file.pointee.source_code_info = nil
    defer { file.pointee.source_code_info = comments }
    return pack(file)
  }
}

/// Encodes a message of protobuf-c.
func pack<C>(_ message: UnsafeMutablePointer<C>) -> [UInt8] {
  // SAFETY: every struct of protobuf-c starts with a ProtobufCMessage, its base.
  let base = UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self)
  let size = protobuf_c_message_get_packed_size(base)
  return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
    count = buffer.baseAddress.map { protobuf_c_message_pack(base, $0) } ?? 0
  }
}
