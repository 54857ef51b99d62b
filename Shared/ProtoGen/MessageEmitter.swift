/// Writes the structs and enums of a file.
struct MessageEmitter {
  let types: TypeTable

  /// Writes all types of `file` in its namespace.
  func emit(_ file: ProtoFile, into writer: inout SourceWriter) throws(ProtoGenError) {
    let namespace = SwiftName.namespace(package: file.package)
    for value in file.enums {
      writer.line()
      try writer.block("extension \(namespace)") { (writer) throws(ProtoGenError) in
        try enumeration(value, into: &writer)
      }
    }
    for message in file.messages {
      writer.line()
      try writer.block("extension \(namespace)") { (writer) throws(ProtoGenError) in
        try self.message(message, into: &writer)
      }
    }
  }

  private func message(
    _ message: ProtoMessage,
    into writer: inout SourceWriter
  )
    throws(ProtoGenError)
  {
    let members = try types.members(of: message)
    writer.documentation(message.comment, "The message `\(message.fullName.dropFirst())`.")
    let name = SwiftName.type(message.name)
    try writer.block("public struct \(name): Sendable, Equatable") {
      (writer) throws(ProtoGenError) in
      for member in members { try property(member, in: message, into: &writer) }
      writer.line("/// Makes a message with every field at its default.")
      writer.line("public init() {}")
      for case .oneof(let oneof, let fields) in members {
        writer.line()
        try self.oneof(oneof, fields, in: message, into: &writer)
      }
      for value in message.enums {
        writer.line()
        try enumeration(value, into: &writer)
      }
      for nested in message.messages where !nested.isMapEntry {
        writer.line()
        try self.message(nested, into: &writer)
      }
    }
  }

  private func property(
    _ member: Member,
    in message: ProtoMessage,
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    switch member {
    case .single(let field):
      document(field, nil, into: &writer)
      let type = try types.swiftType(field.type)
      writer.line(
        "public var \(SwiftName.member(field.name)): \(type) = \(initial(field.type, type))"
      )
    case .list(let field):
      document(field, nil, into: &writer)
      let type = try types.swiftType(field.type)
      writer.line("public var \(SwiftName.member(field.name)): [\(type)] = []")
    case .map(let field, let key, let value):
      document(field, nil, into: &writer)
      let keyType = try types.swiftType(key.type)
      let valueType = try types.swiftType(value.type)
      writer.line("public var \(SwiftName.member(field.name)): [\(keyType): \(valueType)] = [:]")
    case .optional(let field, let oneof):
      try optional(field, oneof, in: message, into: &writer)
    case .oneof(let oneof, let fields):
      let names = fields.map { "`\($0.name)`" }.joined(separator: ", ")
      writer.documentation(oneof.comment, "The oneof `\(oneof.name)`: \(names) or none.")
      let type = types.oneofType(oneof, in: message)
      writer.line("public var \(SwiftName.member(oneof.name)): \(type)? = nil")
    }
  }

  private func optional(
    _ field: ProtoField,
    _ oneof: ProtoOneof?,
    in message: ProtoMessage,
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    let name = SwiftName.member(field.name)
    let type = try types.swiftType(field.type)
    document(field, oneof, into: &writer)
    guard case .message(let inner) = field.type, types.isRecursive(inner, in: message.fullName)
    else {
      writer.line("public var \(name): \(type)? = nil")
      return
    }
    // A struct cannot hold itself; a list of at most one can.
    let stored = "stored\(SwiftName.upperCamel(field.name))"
    try writer.block("public var \(name): \(type)?") { (writer) throws(ProtoGenError) in
      writer.line("get { \(stored).first }")
      writer.line("set { \(stored) = newValue.map { [$0] } ?? [] }")
    }
    writer.line("private var \(stored): [\(type)] = []")
  }

  private func document(
    _ field: ProtoField,
    _ oneof: ProtoOneof?,
    into writer: inout SourceWriter
  ) {
    let comment = field.comment.isEmpty ? oneof?.comment ?? "" : field.comment
    writer.documentation(comment, "Field \(field.number), `\(field.name)`.")
  }

  private func initial(_ type: ProtoType, _ swiftType: String) -> String {
    switch type {
    case .number: "0"
    case .bool: "false"
    case .string: "\"\""
    case .bytes: "[]"
    case .enumeration: "\(swiftType)(rawValue: 0)"
    case .message: "\(swiftType)()"
    }
  }

  private func oneof(
    _ oneof: ProtoOneof,
    _ fields: [ProtoField],
    in message: ProtoMessage,
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    let isIndirect = fields.contains { field in
      guard case .message(let inner) = field.type else { return false }
      return types.isRecursive(inner, in: message.fullName)
    }
    writer.documentation("", "The members of the oneof `\(oneof.name)`.")
    let type = types.oneofType(oneof, in: message)
    let header = "public \(isIndirect ? "indirect " : "")enum \(type): Sendable, Equatable"
    try writer.block(header) { (writer) throws(ProtoGenError) in
      for field in fields {
        document(field, nil, into: &writer)
        writer.line("case \(SwiftName.member(field.name))(\(try types.swiftType(field.type)))")
      }
    }
  }

  private func enumeration(
    _ value: ProtoEnum,
    into writer: inout SourceWriter
  )
    throws(ProtoGenError)
  {
    let name = SwiftName.type(value.name)
    writer.documentation(value.comment, "The enum `\(value.fullName.dropFirst())`.")
    let header =
      "public struct \(name): RawRepresentable, Hashable, Sendable, CustomStringConvertible"
    try writer.block(header) { (writer) throws(ProtoGenError) in
      writer.line("/// The number on the wire; values this code does not know are kept.")
      writer.line("public var rawValue: Int32")
      writer.line("/// Makes the value with a number, known or not.")
      writer.line("public init(rawValue: Int32) { self.rawValue = rawValue }")
      for item in value.values {
        let constant = SwiftName.enumValue(item.name, of: value.name)
        writer.documentation(item.comment, "`\(item.name)`.")
        writer.line("public static let \(constant) = \(name)(rawValue: \(item.number))")
      }
      writer.line("/// The name in the .proto file, or the number of an unknown value.")
      try writer.block("public var description: String") { (writer) throws(ProtoGenError) in
        try writer.flatBlock("switch rawValue") { (writer) throws(ProtoGenError) in
          var seen: Set<Int32> = []
          for item in value.values where seen.insert(item.number).inserted {
            writer.line("case \(item.number): \"\(item.name)\"")
          }
          writer.line("default: \"\\(rawValue)\"")
        }
      }
    }
  }
}
