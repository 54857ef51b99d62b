public import RPC

/// `grpc.reflection.v1.ServerReflection`: tells clients that have no .proto files, such as grpcurl,
/// what a server offers.
///
/// Answers under its old name too, `grpc.reflection.v1alpha.ServerReflection`, whose messages are the same and
/// which older clients ask; that name is not listed.
/// https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
public struct ReflectionService: ReflectionV1.ServerReflectionService {
  /// Longest name that an error repeats, in Unicode scalars.
  private static let namePartMax = 200
  private static let oldName = "grpc.reflection.v1alpha.ServerReflection"

  private let services: [String]
  private let index: DescriptorIndex

  /// Creates the service for a server of `services`, to which it adds its own name, and of the
  /// messages that `descriptors` declare: serialized FileDescriptorProtos.
  public init(services: [String], descriptors: [[UInt8]] = ProtoFiles.descriptors) {
    self.services = Set(services + [Self.serviceName]).sorted()
    index = DescriptorIndex(descriptors)
  }

  /// Adds the method, by both names.
  public func register(in router: inout Router) {
    typealias Request = ReflectionV1.ServerReflectionRequest
    typealias Response = ReflectionV1.ServerReflectionResponse
    for service in [Self.serviceName, Self.oldName] {
      let method = MethodDescriptor(
        service: service,
        method: ReflectionV1.ServerReflectionMethods.serverReflectionInfo.method,
        kind: .bidirectional
      )
      router.bidirectional(method) {
        (requests: RequestStream<Request>, context, responses: ResponseWriter<Response>) in
        try await serverReflectionInfo(requests, context: context, responses: responses)
      }
    }
  }

  /// Answers each request.
  ///
  /// Ends with INVALID_ARGUMENT for one that asks for nothing.
  public func serverReflectionInfo(
    _ requests: RequestStream<ReflectionV1.ServerReflectionRequest>,
    context: ServerContext,
    responses: ResponseWriter<ReflectionV1.ServerReflectionResponse>
  ) async throws {
    for try await request in requests {
      var response = ReflectionV1.ServerReflectionResponse()
      response.validHost = request.host
      response.originalRequest = request
      response.messageResponse = try answer(request)
      try await responses.write(response)
    }
  }

  private func answer(
    _ request: ReflectionV1.ServerReflectionRequest
  ) throws(RPCError) -> ReflectionV1.ServerReflectionResponse.MessageResponse {
    switch request.messageRequest {
    case .fileByFilename(let name): Self.files(index.file(named: name), "file", name)
    case .fileContainingSymbol(let name): Self.files(index.file(declaring: name), "symbol", name)
    case .fileContainingExtension(let wanted):
      // Messages of proto3 have no extensions.
      Self.notFound("extension", "\(wanted.extensionNumber) of \(wanted.containingType)")
    case .allExtensionNumbersOfType(let name):
      index.hasMessage(name) ? Self.noExtensions(of: name) : Self.notFound("message", name)
    case .listServices: serviceList
    case nil: throw RPCError(.invalidArgument, "reflection: the request asks for nothing")
    }
  }

  private var serviceList: ReflectionV1.ServerReflectionResponse.MessageResponse {
    var list = ReflectionV1.ListServiceResponse()
    list.service = services.map { name in
      var service = ReflectionV1.ServiceResponse()
      service.name = name
      return service
    }
    return .listServicesResponse(list)
  }

  private static func files(
    _ descriptors: [[UInt8]]?,
    _ kind: String,
    _ name: String
  ) -> ReflectionV1.ServerReflectionResponse.MessageResponse {
    guard let descriptors else { return notFound(kind, name) }
    var response = ReflectionV1.FileDescriptorResponse()
    response.fileDescriptorProto = descriptors
    return .fileDescriptorResponse(response)
  }

  private static func noExtensions(
    of name: String
  ) -> ReflectionV1.ServerReflectionResponse.MessageResponse {
    var response = ReflectionV1.ExtensionNumberResponse()
    response.baseTypeName = name
    return .allExtensionNumbersResponse(response)
  }

  private static func notFound(
    _ kind: String,
    _ name: String
  ) -> ReflectionV1.ServerReflectionResponse.MessageResponse {
    let part = String(String.UnicodeScalarView(name.unicodeScalars.prefix(namePartMax)))
    var error = ReflectionV1.ErrorResponse()
    error.errorCode = Int32(StatusCode.notFound.rawValue)
    error.errorMessage = "\(kind) not found: \(part)"
    return .errorResponse(error)
  }
}
