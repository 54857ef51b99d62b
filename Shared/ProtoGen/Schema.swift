/// A .proto file, reduced to what the generator reads.
package struct ProtoFile: Sendable {
  package var name: String
  package var package: String
  package var syntax: String
  package var comment: String
  package var messages: [ProtoMessage]
  package var enums: [ProtoEnum]
  package var services: [ProtoService]
  /// The serialized FileDescriptorProto, without comments.
  package var descriptor: [UInt8]

  package init(
    name: String,
    package: String,
    syntax: String,
    comment: String,
    messages: [ProtoMessage],
    enums: [ProtoEnum],
    services: [ProtoService],
    descriptor: [UInt8]
  ) {
    self.name = name
    self.package = package
    self.syntax = syntax
    self.comment = comment
    self.messages = messages
    self.enums = enums
    self.services = services
    self.descriptor = descriptor
  }
}

/// A message, with what is declared inside it.
package struct ProtoMessage: Sendable {
  package var name: String
  /// With a leading dot, as type references have it: `.llmos.tokenizer.v1.Encoding`.
  package var fullName: String
  package var comment: String
  package var fields: [ProtoField]
  package var oneofs: [ProtoOneof]
  package var messages: [ProtoMessage]
  package var enums: [ProtoEnum]
  package var isMapEntry: Bool

  package init(
    name: String,
    fullName: String,
    comment: String,
    fields: [ProtoField],
    oneofs: [ProtoOneof],
    messages: [ProtoMessage],
    enums: [ProtoEnum],
    isMapEntry: Bool
  ) {
    self.name = name
    self.fullName = fullName
    self.comment = comment
    self.fields = fields
    self.oneofs = oneofs
    self.messages = messages
    self.enums = enums
    self.isMapEntry = isMapEntry
  }
}

/// A field of a message.
package struct ProtoField: Sendable {
  package var name: String
  package var number: Int32
  package var comment: String
  package var type: ProtoType
  package var isRepeated: Bool
  package var isDeprecated: Bool
  /// The index of the oneof it is a member of.
  package var oneof: Int?

  package init(
    name: String,
    number: Int32,
    comment: String,
    type: ProtoType,
    isRepeated: Bool,
    isDeprecated: Bool,
    oneof: Int?
  ) {
    self.name = name
    self.number = number
    self.comment = comment
    self.type = type
    self.isRepeated = isRepeated
    self.isDeprecated = isDeprecated
    self.oneof = oneof
  }
}

/// A oneof of a message; its members are the fields that name its index.
package struct ProtoOneof: Sendable {
  package var name: String
  package var comment: String

  package init(
    name: String,
    comment: String
  ) {
    self.name = name
    self.comment = comment
  }
}

/// An enum and its values.
package struct ProtoEnum: Sendable {
  package var name: String
  package var fullName: String
  package var comment: String
  package var values: [ProtoEnumValue]
}

/// One value of an enum.
package struct ProtoEnumValue: Sendable {
  package var name: String
  package var number: Int32
  package var comment: String
}

/// A service and its methods.
package struct ProtoService: Sendable {
  package var name: String
  package var fullName: String
  package var comment: String
  package var methods: [ProtoMethod]
}

/// One method of a service; the types are full names with a leading dot.
package struct ProtoMethod: Sendable {
  package var name: String
  package var comment: String
  package var input: String
  package var output: String
  package var clientStreams: Bool
  package var serverStreams: Bool
}

/// The type of a field or of a map's values.
package enum ProtoType: Sendable, Hashable {
  case number(ProtoNumber)
  case bool
  case string
  case bytes
  case message(String)
  case enumeration(String)
}

/// The number types; the wire format's variants of one type look the same in Swift and in C.
package enum ProtoNumber: String, Sendable {
  case int32 = "Int32"
  case int64 = "Int64"
  case uint32 = "UInt32"
  case uint64 = "UInt64"
  case float = "Float"
  case double = "Double"
}

/// What stops a generation.
package struct ProtoGenError: Error, Sendable {
  /// Kinds of failures.
  package enum Code: Sendable {
    /// The request is not one that protoc sends.
    case badRequest
    /// The .proto files use something that the generator does not know.
    case unsupported
  }

  package var code: Code
  package var message: String
  package var cause: (any Error)?

  package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }
}
