/// A file that the plugin answers with.
package struct GeneratedFile: Sendable, Equatable {
  package var name: String
  package var content: String
}

/// What protoc passes in `--llmos-swift_opt`: `key=value` pairs, separated by commas.
package struct GeneratorOptions: Sendable {
  /// The module of protobuf-c's generated code: `c-module`.
  package var cModule = "CProto"
  /// The module that holds the codec, if it is not the generated code's own: `codec-module`.
  package var codecModule: String?
  /// The enum that lists the descriptors of all files, if there is to be one: `files-enum`.
  package var filesEnum: String?

  package init() {}

  /// Reads the parameter of a request.
  package init(parameter: String) throws(ProtoGenError) {
    for pair in parameter.split(separator: ",") {
      let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
      switch (parts.first, parts.last) {
      case ("c-module", let value?) where parts.count == 2: cModule = value
      case ("codec-module", let value?) where parts.count == 2: codecModule = value
      case ("files-enum", let value?) where parts.count == 2: filesEnum = value
      default:
        let known = "c-module, codec-module, files-enum"
        throw ProtoGenError(.badRequest, "option \(pair): not one of \(known)")
      }
    }
  }
}

/// Generates the Swift files of a set of .proto files, which may refer to one another.
package struct Generator: Sendable {
  private let options: GeneratorOptions

  package init(options: GeneratorOptions) { self.options = options }

  /// Generates four files for each .proto file: messages, their codec, services, descriptor.
  package func generate(_ files: [ProtoFile]) throws(ProtoGenError) -> [GeneratedFile] {
    let types = try TypeTable(files)
    var generated: [GeneratedFile] = []
    var descriptors: [String] = []
    for file in files {
      guard file.syntax == "proto3" else {
        throw ProtoGenError(.unsupported, "\(file.name): only proto3 is supported")
      }
      let siblings = files.filter { $0.package == file.package }
      let layout = Layout(
        file: file,
        isOnly: siblings.count == 1,
        isFirst: siblings.first?.name == file.name
      )
      var messages = SourceWriter(from: file.name, imports: [])
      try MessageEmitter(types: types).emit(file, into: &messages)
      generated.append(layout.file("Messages", messages))

      var codec = SourceWriter(from: file.name, imports: codecImports)
      try BridgeEmitter(types: types).emit(file, into: &codec)
      generated.append(layout.file("Codec", codec))

      if !file.services.isEmpty {
        var services = SourceWriter(from: file.name, imports: ["public import RPC"])
        try ServiceEmitter(types: types).emit(file, into: &services)
        generated.append(layout.file("Services", services))
      }
      generated.append(layout.file("Descriptor", try descriptor(layout)))
      descriptors.append("\(layout.namespace).\(layout.descriptorName)")
    }
    if let name = options.filesEnum { generated.append(try list(descriptors, in: name)) }
    return generated
  }

  private var codecImports: [String] {
    let internals = ([options.cModule] + (options.codecModule.map { [$0] } ?? [])).sorted()
    return internals.map { "import \($0)" } + ["public import RPC"]
  }

  /// What every file's descriptor is found by, for server reflection.
  private func list(
    _ descriptors: [String],
    in name: String
  ) throws(ProtoGenError) -> GeneratedFile {
    var writer = SourceWriter(from: "all .proto files", imports: [])
    writer.line()
    writer.line("/// The .proto files that code was generated from.")
    try writer.block("public enum \(name)") { (writer) throws(ProtoGenError) in
      writer.line("/// Their serialized FileDescriptorProtos.")
      writer.line("public static let descriptors: [[UInt8]] = [")
      for descriptor in descriptors { writer.line("  \(descriptor),") }
      writer.line("]")
    }
    return GeneratedFile(name: "\(name).swift", content: writer.text)
  }

  /// The namespace, if this file is the one to declare it, and the file's descriptor.
  private func descriptor(_ layout: Layout) throws(ProtoGenError) -> SourceWriter {
    let file = layout.file
    var writer = SourceWriter(from: file.name, imports: [])
    if layout.isFirst {
      writer.line()
      writer.documentation(file.comment, "The package `\(file.package)`.")
      writer.line("public enum \(layout.namespace) {}")
    }
    writer.line()
    try writer.block("extension \(layout.namespace)") { (writer) throws(ProtoGenError) in
      writer.line("/// The serialized FileDescriptorProto of `\(file.name)`.")
      writer.line("public static let \(layout.descriptorName): [UInt8] = [")
      let perLine = 20
      for start in stride(from: 0, to: file.descriptor.count, by: perLine) {
        let row = file.descriptor[start..<min(start + perLine, file.descriptor.count)]
        writer.line("  " + row.map { "\($0)," }.joined(separator: " "))
      }
      writer.line("]")
    }
    return writer
  }
}

/// Where the code of one .proto file goes.
///
/// Names carry the file's own only where a package has several files.
private struct Layout {
  let file: ProtoFile
  let isOnly: Bool
  /// Whether this file declares the namespace of its package.
  let isFirst: Bool

  var namespace: String { SwiftName.namespace(package: file.package) }

  private var base: String {
    let name = file.name.split(separator: "/").last ?? ""
    return SwiftName.upperCamel(String(name.split(separator: ".").first ?? ""))
  }

  var descriptorName: String {
    isOnly ? "fileDescriptor" : SwiftName.method(base) + "FileDescriptor"
  }

  func file(_ part: String, _ writer: SourceWriter) -> GeneratedFile {
    let name = isOnly ? "\(namespace)+\(part)" : "\(namespace)+\(base)\(part)"
    return GeneratedFile(name: "\(namespace)/\(name).swift", content: writer.text)
  }
}
