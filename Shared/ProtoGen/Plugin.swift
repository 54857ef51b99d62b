import CDescriptor

private typealias CRequest = Google__Protobuf__Compiler__CodeGeneratorRequest
private typealias CResponse = Google__Protobuf__Compiler__CodeGeneratorResponse
private typealias CResponseFile = Google__Protobuf__Compiler__CodeGeneratorResponse__File

/// The plugin's conversation with protoc: a CodeGeneratorRequest in, a CodeGeneratorResponse out.
package enum Plugin {
  /// Answers one request.
  ///
  /// What is wrong with the .proto files is reported in the response, which protoc shows; only a
  /// request that cannot be read throws.
  package static func respond(to request: [UInt8]) throws(ProtoGenError) -> [UInt8] {
    guard
      let request = google__protobuf__compiler__code_generator_request__unpack(
        nil,
        request.count,
        request
      )
    else { throw ProtoGenError(.badRequest, "standard input is not a CodeGeneratorRequest") }
    defer { google__protobuf__compiler__code_generator_request__free_unpacked(request, nil) }
    do {
      return response(files: try generate(request.pointee), error: nil)
    } catch {
      return response(files: [], error: error.message)
    }
  }

  private static func generate(_ request: CRequest) throws(ProtoGenError) -> [GeneratedFile] {
    let wanted = Set(
      UnsafeBufferPointer(start: request.file_to_generate, count: request.n_file_to_generate)
        .map { text($0) }
    )
    let files = try list(request.proto_file, request.n_proto_file) {
      (_, file) throws(ProtoGenError) in file
    }
    var schema: [ProtoFile] = []
    for file in files where wanted.contains(text(file.pointee.name)) {
      schema.append(try SchemaReader.read(file))
    }
    let options = try GeneratorOptions(parameter: text(request.parameter))
    return try Generator(options: options).generate(schema)
  }

  /// Encodes the response.
  ///
  /// The structs point into strings that live until it is packed.
  private static func response(files: [GeneratedFile], error: String?) -> [UInt8] {
    var texts: [UnsafeMutablePointer<CChar>] = []
    func hold(_ value: String) -> UnsafeMutablePointer<CChar> {
      let bytes = value.utf8CString
      let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
      for (index, byte) in bytes.enumerated() { (copy + index).initialize(to: byte) }
      texts.append(copy)
      return copy
    }
    let structs = UnsafeMutablePointer<CResponseFile>.allocate(capacity: files.count)
    let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CResponseFile>?>.allocate(
      capacity: files.count
    )
    defer {
      for copy in texts { copy.deallocate() }
      structs.deallocate()
      pointers.deallocate()
    }
    for (index, file) in files.enumerated() {
      let c = structs + index
      google__protobuf__compiler__code_generator_response__file__init(c)
      c.pointee.name = hold(file.name)
      c.pointee.content = hold(file.content)
      (pointers + index).initialize(to: c)
    }
    var response = CResponse()
    google__protobuf__compiler__code_generator_response__init(&response)
    response.error = error.map(hold)
    response.n_file = files.count
    response.file = pointers
    return withUnsafeMutablePointer(to: &response) { pack($0) }
  }
}
