/// Which .proto file declares what, read from serialized FileDescriptorProtos.
///
/// Of the descriptors it reads names alone (descriptor.proto).
struct DescriptorIndex: Sendable {
  /// A .proto file.
  private struct File: Sendable {
    let descriptor: [UInt8]
    let imports: [String]
  }

  private var files: [String: File] = [:]
  /// Every declared name with its package, and its file.
  private var fileNames: [String: String] = [:]
  private var messages: Set<String> = []

  /// Reads descriptors, which must be what protoc made.
  init(_ descriptors: [[UInt8]]) {
    for descriptor in descriptors {
      let read = descriptor.withUnsafeBytes { bytes in addFile(DescriptorFields(bytes), descriptor)
      }
      precondition(read, "reflection: \(descriptor.count) bytes are no FileDescriptorProto")
    }
  }

  /// The file of that name and those that it imports, directly or not; nil without it.
  ///
  /// Imports of files that are not known here are left out.
  func file(named name: String) -> [[UInt8]]? {
    guard files[name] != nil else { return nil }
    var names = [name]
    var seen: Set<String> = [name]
    var next = 0
    while next < names.count {
      for name in files[names[next]]?.imports ?? [] where files[name] != nil {
        if seen.insert(name).inserted { names.append(name) }
      }
      next += 1
    }
    return names.compactMap { files[$0]?.descriptor }
  }

  /// The file that declares a name, with its imports; nil if none does.
  func file(declaring symbol: String) -> [[UInt8]]? {
    fileNames[symbol].flatMap { file(named: $0) }
  }

  /// Whether there is a message of that name.
  func hasMessage(_ name: String) -> Bool { messages.contains(name) }

  // MARK: Reading

  private mutating func addFile(_ fields: DescriptorFields, _ descriptor: [UInt8]) -> Bool {
    guard let name = fields.text(1) else { return false }
    let scope = fields.text(2).map { "\($0)." } ?? ""
    files[name] = File(descriptor: descriptor, imports: fields.all(3).map(\.asText))
    for message in fields.all(4) { addMessage(DescriptorFields(message), scope, name, depth: 0) }
    for value in fields.all(5) { addEnum(DescriptorFields(value), scope, name) }
    for service in fields.all(6) {
      let service = DescriptorFields(service)
      let serviceName = scope + (service.text(1) ?? "")
      fileNames[serviceName] = name
      for method in service.all(2) {
        fileNames["\(serviceName).\(DescriptorFields(method).text(1) ?? "")"] = name
      }
    }
    return fields.isWellFormed
  }

  /// protoc nests messages no deeper than this bound either.
  private static let depthMax = 64

  private mutating func addMessage(
    _ message: DescriptorFields,
    _ scope: String,
    _ file: String,
    depth: Int
  ) {
    let name = scope + (message.text(1) ?? "")
    fileNames[name] = file
    messages.insert(name)
    // Fields and oneofs.
    for member in message.all(2) + message.all(8) {
      fileNames["\(name).\(DescriptorFields(member).text(1) ?? "")"] = file
    }
    guard depth < Self.depthMax else { return }
    for nested in message.all(3) {
      addMessage(DescriptorFields(nested), "\(name).", file, depth: depth + 1)
    }
    for value in message.all(4) { addEnum(DescriptorFields(value), "\(name).", file) }
  }

  /// The values of an enum are declared beside it, as in C++.
  private mutating func addEnum(_ value: DescriptorFields, _ scope: String, _ file: String) {
    fileNames[scope + (value.text(1) ?? "")] = file
    for value in value.all(2) { fileNames[scope + (DescriptorFields(value).text(1) ?? "")] = file }
  }
}

/// The fields of one serialized message that hold bytes, in order.
///
/// They point into the message's bytes, which must outlive them.
private struct DescriptorFields {
  private var fields: [(number: UInt64, bytes: UnsafeRawBufferPointer)] = []
  /// Whether the bytes were read to their end.
  private(set) var isWellFormed = true

  init(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes[...]
    while !rest.isEmpty {
      guard let tag = Self.varint(&rest),
        Self.skip(
          tag & 7,
          &rest,
          { field in
            fields.append((tag >> 3, UnsafeRawBufferPointer(rebasing: field)))
          }
        )
      else {
        isWellFormed = false
        return
      }
    }
  }

  func all(_ number: UInt64) -> [UnsafeRawBufferPointer] {
    fields.filter { $0.number == number }.map(\.bytes)
  }

  func text(_ number: UInt64) -> String? { fields.last { $0.number == number }?.bytes.asText }

  /// Passes over a field's value; hands the bytes of one that has a length on.
  private static func skip(
    _ wireType: UInt64,
    _ rest: inout Slice<UnsafeRawBufferPointer>,
    _ take: (Slice<UnsafeRawBufferPointer>) -> Void
  ) -> Bool {
    let count: UInt64
    switch wireType {
    case 0: return varint(&rest) != nil
    case 1: count = 8
    case 2:
      guard let length = varint(&rest) else { return false }
      count = length
    case 5: count = 4
    default: return false
    }
    guard count <= UInt64(rest.count) else { return false }
    if wireType == 2 { take(rest.prefix(Int(count))) }
    rest = rest.dropFirst(Int(count))
    return true
  }

  private static func varint(_ rest: inout Slice<UnsafeRawBufferPointer>) -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = rest.popFirst() else { return nil }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
    }
    return nil
  }
}

extension UnsafeRawBufferPointer {
  fileprivate var asText: String { String(decoding: self, as: UTF8.self) }
}
