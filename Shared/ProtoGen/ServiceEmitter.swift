/// Writes a service's methods, the protocol that a server implements, and the client.
struct ServiceEmitter {
  let types: TypeTable

  /// Writes all services of `file` in its namespace.
  func emit(_ file: ProtoFile, into writer: inout SourceWriter) throws(ProtoGenError) {
    let namespace = SwiftName.namespace(package: file.package)
    for service in file.services {
      let signatures = try service.methods.map { (method) throws(ProtoGenError) in
        try Signature(method, service, namespace, types)
      }
      writer.line()
      try writer.block("extension \(namespace)") { (writer) throws(ProtoGenError) in
        try methods(service, signatures, into: &writer)
        writer.line()
        try serviceProtocol(service, signatures, into: &writer)
        writer.line()
        try client(service, signatures, into: &writer)
      }
      writer.line()
      try registration(service, signatures, namespace, into: &writer)
    }
  }

  /// One method's names and types.
  private struct Signature {
    let method: ProtoMethod
    let name: String
    let input: String
    let output: String
    let descriptor: String

    init(
      _ method: ProtoMethod,
      _ service: ProtoService,
      _ namespace: String,
      _ types: TypeTable
    )
      throws(ProtoGenError)
    {
      self.method = method
      name = SwiftName.method(method.name)
      input = try types.swiftName(method.input)
      output = try types.swiftName(method.output)
      descriptor = "\(namespace).\(service.name)Methods.\(name)"
    }

    var kind: String {
      switch (method.clientStreams, method.serverStreams) {
      case (false, false): "unary"
      case (true, false): "clientStreaming"
      case (false, true): "serverStreaming"
      case (true, true): "bidirectional"
      }
    }

    var fallback: String { "Calls `\(method.name)`." }
  }

  private func methods(
    _ service: ProtoService,
    _ signatures: [Signature],
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    let fullName = service.fullName.dropFirst()
    writer.line("/// The methods of `\(fullName)`.")
    try writer.block("public enum \(service.name)Methods") { (writer) throws(ProtoGenError) in
      for signature in signatures {
        writer.documentation("", "`\(fullName).\(signature.method.name)`.")
        writer.line("public static let \(signature.name) = MethodDescriptor(")
        let arguments = "service: \"\(fullName)\", method: \"\(signature.method.name)\""
        writer.line("  \(arguments), kind: .\(signature.kind))")
      }
    }
  }

  private func serviceProtocol(
    _ service: ProtoService,
    _ signatures: [Signature],
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    writer.documentation(
      service.comment,
      "What a server of `\(service.fullName.dropFirst())` implements."
    )
    try writer.block("public protocol \(service.name)Service: RPCService") {
      (writer) throws(ProtoGenError) in
      for signature in signatures {
        writer.documentation(signature.method.comment, signature.fallback)
        writer.line(handler(signature))
      }
    }
  }

  private func handler(_ signature: Signature) -> String {
    let request =
      signature.method.clientStreams
      ? "_ requests: RequestStream<\(signature.input)>" : "_ request: \(signature.input)"
    let parameters = "\(request), context: ServerContext"
    guard signature.method.serverStreams else {
      return "func \(signature.name)(\(parameters)) async throws -> \(signature.output)"
    }
    let responses = "responses: ResponseWriter<\(signature.output)>"
    return "func \(signature.name)(\(parameters), \(responses)) async throws"
  }

  private func registration(
    _ service: ProtoService,
    _ signatures: [Signature],
    _ namespace: String,
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    try writer.block("extension \(namespace).\(service.name)Service") {
      (writer) throws(ProtoGenError) in
      writer.line("/// The full name on the wire.")
      writer.line(
        "public static var serviceName: String { \"\(service.fullName.dropFirst())\" }"
      )
      writer.line()
      writer.line("/// Adds all methods to `router`.")
      try writer.block("public func register(in router: inout Router)") {
        (writer) throws(ProtoGenError) in
        for signature in signatures { try route(signature, into: &writer) }
      }
    }
  }

  private func route(
    _ signature: Signature,
    into writer: inout SourceWriter
  )
    throws(ProtoGenError)
  {
    let input =
      signature.method.clientStreams ? "RequestStream<\(signature.input)>" : signature.input
    let name = signature.method.clientStreams ? "requests" : "request"
    var parameters = "\(name): \(input), context: ServerContext"
    var call = "try await self.\(signature.name)(\(name), context: context"
    var result = " -> \(signature.output)"
    if signature.method.serverStreams {
      parameters += ", responses: ResponseWriter<\(signature.output)>"
      call += ", responses: responses"
      result = ""
    }
    try writer.block("router.\(signature.kind)(\(signature.descriptor))") {
      (writer) throws(ProtoGenError) in
      writer.line("(\(parameters))\(result) in")
      writer.line(call + ")")
    }
  }

  private func client(
    _ service: ProtoService,
    _ signatures: [Signature],
    into writer: inout SourceWriter
  ) throws(ProtoGenError) {
    writer.line("/// Calls `\(service.fullName.dropFirst())` over a channel.")
    try writer.block("public struct \(service.name)Client: Sendable") {
      (writer) throws(ProtoGenError) in
      writer.line("/// The channel that carries the calls.")
      writer.line("public let channel: RPCChannel")
      writer.line()
      writer.line("/// Makes a client; any number may share one channel.")
      writer.line("public init(_ channel: RPCChannel) { self.channel = channel }")
      for signature in signatures {
        writer.line()
        writer.documentation(signature.method.comment, signature.fallback)
        try call(signature, into: &writer)
      }
    }
  }

  private func call(
    _ signature: Signature,
    into writer: inout SourceWriter
  )
    throws(ProtoGenError)
  {
    let request = signature.method.clientStreams ? "" : "_ request: \(signature.input), "
    var parameters = "\(request)options: CallOptions = CallOptions()"
    var arguments =
      signature.method.clientStreams ? "options: options" : "request, options: options"
    let result: String
    switch (signature.method.clientStreams, signature.method.serverStreams) {
    case (false, false): result = signature.output
    case (false, true): result = "ResponseStream<\(signature.output)>"
    case (true, true): result = "BidirectionalCall<\(signature.input), \(signature.output)>"
    case (true, false):
      result = signature.output
      parameters += ", _ produce: (RequestWriter<\(signature.input)>) async throws -> Void"
      arguments += ", produce"
    }
    let header = "public func \(signature.name)(\(parameters)) async throws(RPCError) -> \(result)"
    try writer.block(header) { (writer) throws(ProtoGenError) in
      writer.line("try await channel.\(signature.kind)(\(signature.descriptor), \(arguments))")
    }
  }
}
