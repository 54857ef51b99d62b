/// All types of one generation by their full names.
struct TypeTable {
  private var swiftNames: [String: String] = [:]
  private var messages: [String: ProtoMessage] = [:]
  /// For each message those that it holds directly, without a list or map between.
  private var held: [String: Set<String>] = [:]

  init(_ files: [ProtoFile]) throws(ProtoGenError) {
    for file in files {
      let namespace = SwiftName.namespace(package: file.package)
      for message in file.messages { add(message, namespace) }
      for value in file.enums {
        swiftNames[value.fullName] = "\(namespace).\(SwiftName.type(value.name))"
      }
    }
  }

  private mutating func add(_ message: ProtoMessage, _ scope: String) {
    let name = "\(scope).\(SwiftName.type(message.name))"
    swiftNames[message.fullName] = name
    messages[message.fullName] = message
    held[message.fullName] = Set(
      message.fields.compactMap { field in
        guard case .message(let type) = field.type, !field.isRepeated else { return nil }
        return type
      }
    )
    for nested in message.messages { add(nested, name) }
    for value in message.enums {
      swiftNames[value.fullName] = "\(name).\(SwiftName.type(value.name))"
    }
  }

  /// The name in Swift, with its namespace.
  func swiftName(_ fullName: String) throws(ProtoGenError) -> String {
    guard let name = swiftNames[fullName] else {
      throw ProtoGenError(.unsupported, "\(fullName): its file is not among those generated")
    }
    return name
  }

  /// The type in Swift of one value.
  func swiftType(_ type: ProtoType) throws(ProtoGenError) -> String {
    switch type {
    case .number(let number): number.rawValue
    case .bool: "Bool"
    case .string: "String"
    case .bytes: "[UInt8]"
    case .message(let name), .enumeration(let name): try swiftName(name)
    }
  }

  /// The entry message of a map field; nil for any other field.
  func mapEntry(_ field: ProtoField) -> ProtoMessage? {
    guard field.isRepeated, case .message(let name) = field.type, let entry = messages[name],
      entry.isMapEntry
    else { return nil }
    return entry
  }

  /// Whether a field of type `inner` in `outer` makes a struct that would contain itself.
  func isRecursive(_ inner: String, in outer: String) -> Bool {
    var pending = [inner]
    var seen: Set<String> = [inner]
    while let next = pending.popLast() {
      if next == outer { return true }
      for name in held[next] ?? [] where seen.insert(name).inserted { pending.append(name) }
    }
    return false
  }
}

/// What a message's fields become in Swift: one property each, or one for a oneof.
enum Member {
  case single(ProtoField)
  case list(ProtoField)
  case map(ProtoField, key: ProtoField, value: ProtoField)
  /// A message, or the only member of a oneof.
  case optional(ProtoField, ProtoOneof?)
  case oneof(ProtoOneof, [ProtoField])
}

extension TypeTable {
  /// The properties of `message` in the order of the file.
  func members(of message: ProtoMessage) throws(ProtoGenError) -> [Member] {
    var members: [Member] = []
    for (index, field) in message.fields.enumerated() {
      guard !field.isDeprecated else {
        throw ProtoGenError(
          .unsupported,
          "\(message.fullName).\(field.name): deprecated; reserve its number"
        )
      }
      if let oneof = field.oneof {
        let fields = message.fields.filter { $0.oneof == oneof }
        guard message.fields.firstIndex(where: { $0.oneof == oneof }) == index else { continue }
        let isOnly = fields.count == 1
        members.append(
          isOnly ? .optional(field, message.oneofs[oneof]) : .oneof(message.oneofs[oneof], fields)
        )
      } else if let entry = mapEntry(field), let key = entry.fields.first,
        let value = entry.fields.last
      {
        members.append(.map(field, key: key, value: value))
      } else if field.isRepeated {
        members.append(.list(field))
      } else if case .message = field.type {
        members.append(.optional(field, nil))
      } else {
        members.append(.single(field))
      }
    }
    return members
  }

  /// The enum's name for a oneof, which must differ from the types declared beside it.
  func oneofType(_ oneof: ProtoOneof, in message: ProtoMessage) -> String {
    let name = SwiftName.type(SwiftName.upperCamel(oneof.name))
    let taken = message.messages.map(\.name) + message.enums.map(\.name)
    return taken.contains(name) ? name + "Oneof" : name
  }
}
