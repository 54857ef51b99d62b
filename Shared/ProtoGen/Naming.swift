/// Names in Swift of what a .proto file declares.
package enum SwiftName {
  /// Words that are written in capitals, except at the start of a name.
  private static let initialisms = [
    "api": "API", "http": "HTTP", "id": "ID", "ids": "IDs", "json": "JSON", "uri": "URI",
    "url": "URL",
  ]

  private static let keywords: Set<String> = [
    "as", "associatedtype", "break", "case", "catch", "class", "continue", "default", "defer",
    "deinit", "do", "else", "enum", "extension", "fallthrough", "false", "fileprivate", "for",
    "func", "guard", "if", "import", "in", "inout", "internal", "is", "let", "nil", "operator",
    "precedencegroup", "private", "protocol", "public", "repeat", "rethrows", "return", "static",
    "struct", "subscript", "super", "switch", "throw", "throws", "true", "try", "typealias", "var",
    "where", "while", "Any",
  ]

  /// Members that backticks do not make usable, or that the generated code declares.
  private static let takenMembers: Set<String> = ["init", "self", "hash", "hashValue", "rawValue"]

  /// Type names that generated code refers to; a message of that name would hide them.
  private static let takenTypes: Set<String> = [
    "Any", "Array", "Bool", "CallOptions", "Dictionary", "Double", "Equatable", "Error", "Float",
    "Hashable", "Int", "Int32", "Int64", "MethodDescriptor", "Optional", "Protocol", "RPCChannel",
    "RPCError", "RPCMessage", "RPCService", "RawRepresentable", "RequestStream", "RequestWriter",
    "ResponseStream", "ResponseWriter", "Router", "Self", "Sendable", "ServerContext",
    "StaticString", "String", "Type", "UInt32", "UInt64", "UInt8", "UnsafePointer",
    "BidirectionalCall",
  ]

  /// `grpc.health.v1` becomes `HealthV1`, `inference` becomes `Inference`.
  package static func namespace(package: String) -> String {
    let parts = package.split(separator: ".").map(String.init)
    guard let last = parts.last else { return "Unnamed" }
    guard parts.count > 1, isVersion(last) else { return upperCamel(last) }
    return upperCamel(parts[parts.count - 2]) + upperCamel(last)
  }

  private static func isVersion(_ part: String) -> Bool {
    guard part.first == "v" else { return false }
    return part.dropFirst().first?.isNumber ?? false
  }

  /// A message's, enum's or service's own name.
  package static func type(_ name: String) -> String {
    takenTypes.contains(name) ? name + "Message" : name
  }

  /// `prompt_ids` becomes `promptIDs`.
  package static func member(_ name: String) -> String {
    let parts = name.split(separator: "_").map(String.init)
    guard let first = parts.first else { return name }
    let joined = parts.dropFirst().reduce(lowerFirst(first)) {
      $0 + (initialisms[$1] ?? upperFirst($1))
    }
    return escaped(joined)
  }

  /// The value's name without the enum's, in lower camel case: `FINISH_REASON_STOP` of
  /// `FinishReason` becomes `stop`.
  package static func enumValue(_ name: String, of enumName: String) -> String {
    let prefix = screaming(enumName) + "_"
    var rest = name
    if name.hasPrefix(prefix), let next = name.dropFirst(prefix.count).first, !next.isNumber {
      rest = String(name.dropFirst(prefix.count))
    }
    let parts = rest.split(separator: "_").map { $0.lowercased() }
    guard let first = parts.first else { return escaped(name) }
    return escaped(parts.dropFirst().reduce(first) { $0 + upperFirst($1) })
  }

  /// `RenderChat` becomes `renderChat`.
  package static func method(_ name: String) -> String { escaped(lowerFirst(name)) }

  /// `created_by` becomes `CreatedBy`.
  package static func upperCamel(_ name: String) -> String {
    name.split(separator: "_").map { upperFirst(String($0)) }.joined()
  }

  private static func upperFirst(_ word: String) -> String {
    word.prefix(1).uppercased() + word.dropFirst()
  }

  /// Lowers the capitals a word starts with, but for one that starts the next word: `ABTest`
  /// becomes `abTest`.
  private static func lowerFirst(_ word: String) -> String {
    let letters = Array(word)
    let capitals = letters.prefix { $0.isUppercase }.count
    guard capitals > 0 else { return word }
    let lowered = capitals == 1 || capitals == letters.count ? capitals : capitals - 1
    return word.prefix(lowered).lowercased() + word.dropFirst(lowered)
  }

  /// `FinishReason` becomes `FINISH_REASON`.
  private static func screaming(_ name: String) -> String {
    CName.splitCamel(name).uppercased()
  }

  private static func escaped(_ name: String) -> String {
    if takenMembers.contains(name) { return name + "_" }
    return keywords.contains(name) ? "`\(name)`" : name
  }
}

/// Names in C as protoc-gen-c makes them (protoc-gen-c/c_helpers.cc).
package enum CName {
  /// C++ keywords, which protoc-gen-c ends with an underscore.
  private static let keywords: Set<String> = [
    "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char",
    "class", "compl", "const", "const_cast", "continue", "default", "delete", "do", "double",
    "dynamic_cast", "else", "enum", "explicit", "extern", "false", "float", "for", "friend",
    "goto", "if", "inline", "int", "long", "mutable", "namespace", "new", "not", "not_eq",
    "operator", "or", "or_eq", "private", "protected", "public", "register", "reinterpret_cast",
    "return", "short", "signed", "sizeof", "static", "static_cast", "struct", "switch", "template",
    "this", "throw", "true", "try", "typedef", "typeid", "typename", "union", "unsigned", "using",
    "virtual", "void", "volatile", "wchar_t", "while", "xor", "xor_eq",
  ]

  /// The type: `.llmos.tokenizer.v1.Encoding` becomes `Llmos__Tokenizer__V1__Encoding`.
  package static func type(_ fullName: String) -> String {
    fullName.split(separator: ".").map { SwiftName.upperCamel(String($0)) }.joined(separator: "__")
  }

  /// The prefix of functions and descriptors: `llmos__tokenizer__v1__encoding`.
  package static func symbol(_ fullName: String) -> String {
    fullName.split(separator: ".").map { splitCamel(String($0)).lowercased() }
      .joined(separator: "__")
  }

  /// The member of a struct.
  package static func field(_ name: String) -> String {
    let lower = name.lowercased()
    if keywords.contains(lower) { return lower + "_" }
    return ["init", "self"].contains(lower) ? "`\(lower)`" : lower
  }

  /// The member that counts a repeated field.
  package static func count(_ name: String) -> String {
    let lower = name.lowercased()
    return "n_\(keywords.contains(lower) ? lower + "_" : lower)"
  }

  /// The member that says which member of a oneof is set.
  package static func oneofCase(_ name: String) -> String {
    splitCamel(name).lowercased() + "_case"
  }

  /// Puts an underscore before each capital that follows something else.
  static func splitCamel(_ name: String) -> String {
    var result = ""
    var afterCapital = true
    for letter in name {
      if letter.isUppercase, !afterCapital { result.append("_") }
      afterCapital = letter.isUppercase
      result.append(letter)
    }
    return result
  }
}
