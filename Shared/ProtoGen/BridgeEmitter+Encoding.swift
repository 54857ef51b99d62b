extension BridgeEmitter {
  /// Writes `fill`, which builds the C struct of a message in an arena.
  func encoding(
    _ message: ProtoMessage,
    _ cType: String,
    _ symbol: String,
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    let header =
      "func fill(_ c: UnsafeMutablePointer<\(cType)>, _ arena: inout Arena) throws(RPCError)"
    try writer.block(header) { (writer) throws(ProtoGenError) in
      writer.line("\(symbol)__init(c)")
      let members = try types.members(of: message)
      if members.contains(where: holdsMessages) {
        writer.line("try arena.enter(\"\(message.fullName.dropFirst())\")")
      }
      for member in members { try encode(member, in: message, into: &writer) }
      if members.contains(where: holdsMessages) { writer.line("arena.leave()") }
    }
  }

  private func holdsMessages(_ member: Member) -> Bool {
    let fields: [ProtoField] =
      switch member {
      case .single(let field), .list(let field), .optional(let field, _): [field]
      case .map(_, _, let value): [value]
      case .oneof(_, let fields): fields
      }
    return fields.contains { field in
      if case .message = field.type { true } else { false }
    }
  }

  private func encode(
    _ member: Member,
    in message: ProtoMessage,
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    switch member {
    case .single(let field):
      let source = "self.\(SwiftName.member(field.name))"
      switch field.type {
      case .string, .bytes:
        // An empty one is the default, which `init` has set.
        try writer.block("if !\(source).isEmpty") { (writer) throws(ProtoGenError) in
          try assign(field, source, to: "c", message, into: &writer)
        }
      default: try assign(field, source, to: "c", message, into: &writer)
      }
    case .optional(let field, let oneof):
      try writer.block("if let value = self.\(SwiftName.member(field.name))") {
        (writer) throws(ProtoGenError) in
        try assign(field, "value", to: "c", message, into: &writer)
        if let oneof { select(field, of: oneof, into: &writer) }
      }
    case .oneof(let oneof, let fields):
      try writer.flatBlock("switch self.\(SwiftName.member(oneof.name))") {
        (writer) throws(ProtoGenError) in
        for field in fields {
          writer.line("case .\(SwiftName.member(field.name))(let value)?:")
          try writer.indented { (writer) throws(ProtoGenError) in
            try assign(field, "value", to: "c", message, into: &writer)
            select(field, of: oneof, into: &writer)
          }
        }
        writer.line("case nil: break")
      }
    case .list(let field):
      try writer.block("if !self.\(SwiftName.member(field.name)).isEmpty") {
        (writer) throws(ProtoGenError) in
        try list(field, message, into: &writer)
      }
    case .map(let field, let key, let value):
      try writer.block("if !self.\(SwiftName.member(field.name)).isEmpty") {
        (writer) throws(ProtoGenError) in
        try map(field, key, value, message, into: &writer)
      }
    }
  }

  private func select(
    _ field: ProtoField,
    of oneof: ProtoOneof,
    into writer: inout SourceWriter
  ) {
    writer.line("c.pointee.\(CName.oneofCase(oneof.name)) = .init(rawValue: \(field.number))")
  }

  /// Writes the lines that put one value, the expression `source`, into the struct `c`.
  private func assign(
    _ field: ProtoField,
    _ source: String,
    to c: String,
    _ message: ProtoMessage,
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    let place = "\(c).pointee.\(CName.field(field.name))"
    switch field.type {
    case .number: writer.line("\(place) = \(source)")
    case .bool: writer.line("\(place) = \(source) ? 1 : 0")
    case .string:
      writer.line("\(place) = try arena.string(\(source), \"\(label(field, message))\")")
    case .bytes: writer.line("\(place) = try arena.bytes(\(source))")
    case .enumeration:
      writer.line(
        "\(place) = .init(rawValue: .init(truncatingIfNeeded: \(source).rawValue))"
      )
    case .message(let name):
      let variable = "c\(SwiftName.upperCamel(field.name))"
      writer.line("let \(variable) = try arena.one(\(CName.type(name)).self)")
      writer.line("try \(source).fill(\(variable), &arena)")
      writer.line("\(place) = \(variable)")
    }
  }

  private func list(
    _ field: ProtoField,
    _ message: ProtoMessage,
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    let source = "self.\(SwiftName.member(field.name))"
    let place = "c.pointee.\(CName.field(field.name))"
    writer.line("c.pointee.\(CName.count(field.name)) = \(source).count")
    switch field.type {
    case .number: writer.line("\(place) = try arena.array(\(source))")
    case .bool: writer.line("\(place) = try arena.array(\(source)) { $0 ? 1 : 0 }")
    case .string:
      writer.line("\(place) = try arena.strings(\(source), \"\(label(field, message))\")")
    case .bytes: writer.line("\(place) = try arena.byteStrings(\(source))")
    case .enumeration(let name):
      let cType = CName.type(name)
      writer.line("\(place) = try arena.array(\(source)) {")
      writer.line("  \(cType)(rawValue: .init(truncatingIfNeeded: $0.rawValue))")
      writer.line("}")
    case .message(let name):
      let count = "count: \(source).count"
      writer.line("let elements = try arena.messages(\(CName.type(name)).self, \(count))")
      try writer.block("for (index, element) in \(source).enumerated()") {
        (writer) throws(ProtoGenError) in
        writer.line("try element.fill(elements.first + index, &arena)")
      }
      writer.line("\(place) = elements.list")
    }
  }

  private func map(
    _ field: ProtoField,
    _ key: ProtoField,
    _ value: ProtoField,
    _ message: ProtoMessage,
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    guard case .message(let entry) = field.type else { return }
    let source = "self.\(SwiftName.member(field.name))"
    writer.line("c.pointee.\(CName.count(field.name)) = \(source).count")
    let count = "count: \(source).count"
    writer.line("let elements = try arena.messages(\(CName.type(entry)).self, \(count))")
    // Sorted, so that equal messages have equal bytes.
    let order = key.type == .bool ? "!$0.key && $1.key" : "$0.key < $1.key"
    writer.line("let sorted = \(source).sorted { \(order) }")
    try writer.block("for (index, element) in sorted.enumerated()") {
      (writer) throws(ProtoGenError) in
      writer.line("let entry = elements.first + index")
      writer.line("\(CName.symbol(entry))__init(entry)")
      try assign(key, "element.key", to: "entry", message, into: &writer)
      try assign(value, "element.value", to: "entry", message, into: &writer)
    }
    writer.line("c.pointee.\(CName.field(field.name)) = elements.list")
  }

  /// Names a field in errors.
  private func label(_ field: ProtoField, _ message: ProtoMessage) -> String {
    "\(message.fullName.dropFirst()).\(field.name)"
  }
}
