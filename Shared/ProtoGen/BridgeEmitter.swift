/// Writes the way between the structs and protobuf-c: one straight line of assignments each way.
struct BridgeEmitter {
  let types: TypeTable

  /// Writes the conformances to `RPCMessage` of all messages of `file`.
  func emit(_ file: ProtoFile, into writer: inout SourceWriter) throws(ProtoGenError) {
    for message in file.messages { try emit(message, into: &writer) }
  }

  private func emit(
    _ message: ProtoMessage,
    into writer: inout SourceWriter
  )
    throws(ProtoGenError)
  {
    let cType = CName.type(message.fullName)
    let symbol = CName.symbol(message.fullName)
    writer.line()
    try writer.block("extension \(try types.swiftName(message.fullName)): RPCMessage") {
      (writer) throws(ProtoGenError) in
      try conformance(cType, symbol, into: &writer)
      writer.line()
      try decoding(message, cType, into: &writer)
      writer.line()
      try encoding(message, cType, symbol, into: &writer)
    }
    for nested in message.messages where !nested.isMapEntry { try emit(nested, into: &writer) }
  }

  private func conformance(
    _ cType: String,
    _ symbol: String,
    into writer: inout SourceWriter
  )
    throws(ProtoGenError)
  {
    writer.line("/// Decodes one message; throws INVALID_ARGUMENT for bytes that are not one.")
    let decode = "public init(serialized bytes: UnsafeRawBufferPointer) throws(RPCError)"
    try writer.block(decode) { (writer) throws(ProtoGenError) in
      let header = "self = try withUnsafePointer(to: \(symbol)__descriptor)"
      writer.line("\(header) { (descriptor) throws(RPCError) in")
      writer.line("  try Codec.decode(bytes, as: descriptor) {")
      writer.line("    (c: UnsafePointer<\(cType)>) in Self(copying: c)")
      writer.line("  }")
      writer.line("}")
    }
    writer.line()
    writer.line(
      "/// Appends the encoding to `output`; throws INTERNAL for a string that holds a NUL."
    )
    let encode = "public func serialize(into output: inout [UInt8]) throws(RPCError)"
    try writer.block(encode) { (writer) throws(ProtoGenError) in
      writer.line("var arena = Arena()")
      writer.line("let c = try arena.one(\(cType).self)")
      writer.line("try fill(c, &arena)")
      writer.line("try Codec.encode(c, into: &output)")
    }
  }

  // MARK: Decoding

  private func decoding(
    _ message: ProtoMessage,
    _ cType: String,
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    try writer.block("init(copying c: UnsafePointer<\(cType)>)") {
      (writer) throws(ProtoGenError) in
      writer.line("self.init()")
      for member in try types.members(of: message) {
        try decode(member, in: message, into: &writer)
      }
    }
  }

  private func decode(
    _ member: Member,
    in message: ProtoMessage,
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    switch member {
    case .single(let field):
      writer.line("\(property(field)) = \(try value(field, in: "c"))")
    case .list(let field):
      writer.line("\(property(field)) = \(try values(field))")
    case .optional(let field, nil):
      guard case .message(let inner) = field.type else { return }
      let place = "c.pointee.\(CName.field(field.name))"
      let convert = "\(try types.swiftName(inner)).init(copying:)"
      writer.line("\(property(field)) = Copy.message(\(place), \(convert))")
    case .optional(let field, let oneof?):
      try writer.block("if c.pointee.\(CName.oneofCase(oneof.name)).rawValue == \(field.number)") {
        (writer) throws(ProtoGenError) in
        writer.line("\(property(field)) = \(try value(field, in: "c"))")
      }
    case .oneof(let oneof, let fields):
      let name = "self.\(SwiftName.member(oneof.name))"
      try writer.flatBlock("switch c.pointee.\(CName.oneofCase(oneof.name)).rawValue") {
        (writer) throws(ProtoGenError) in
        for field in fields {
          let payload = try value(field, in: "c")
          writer.line(
            "case \(field.number): \(name) = .\(SwiftName.member(field.name))(\(payload))"
          )
        }
        writer.line("default: \(name) = nil")
      }
    case .map(let field, let key, let item):
      let cField = CName.field(field.name)
      let count = CName.count(field.name)
      try writer.block(
        "for entry in Copy.messages(c.pointee.\(cField), c.pointee.\(count), { $0 })"
      ) { (writer) throws(ProtoGenError) in
        let keyCopy = try value(key, in: "entry")
        writer.line("\(property(field))[\(keyCopy)] = \(try value(item, in: "entry"))")
      }
    }
  }

  /// The expression that copies one value out of the struct `c`.
  private func value(_ field: ProtoField, in c: String) throws(ProtoGenError) -> String {
    let place = "\(c).pointee.\(CName.field(field.name))"
    switch field.type {
    case .number: return place
    case .bool: return "\(place) != 0"
    case .string: return "Copy.string(\(place))"
    case .bytes: return "Copy.bytes(\(place))"
    case .enumeration(let name):
      return
        "\(try types.swiftName(name))(rawValue: Int32(truncatingIfNeeded: \(place).rawValue))"
    case .message(let name):
      let type = try types.swiftName(name)
      return "Copy.message(\(place), \(type).init(copying:)) ?? \(type)()"
    }
  }

  private func values(_ field: ProtoField) throws(ProtoGenError) -> String {
    let arguments =
      "c.pointee.\(CName.field(field.name)), c.pointee.\(CName.count(field.name))"
    switch field.type {
    case .number: return "Copy.array(\(arguments))"
    case .bool: return "Copy.array(\(arguments)) { $0 != 0 }"
    case .string: return "Copy.strings(\(arguments))"
    case .bytes: return "Copy.array(\(arguments)) { Copy.bytes($0) }"
    case .enumeration(let name):
      let type = try types.swiftName(name)
      return
        "Copy.array(\(arguments)) { \(type)(rawValue: Int32(truncatingIfNeeded: $0.rawValue)) }"
    case .message(let name):
      return "Copy.messages(\(arguments), \(try types.swiftName(name)).init(copying:))"
    }
  }

  private func property(_ field: ProtoField) -> String { "self.\(SwiftName.member(field.name))" }
}
