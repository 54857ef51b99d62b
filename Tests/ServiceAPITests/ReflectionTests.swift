import Foundation
import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import Testing

/// Server reflection: what a client without .proto files learns.
@Suite(.timeLimit(.minutes(5))) struct ReflectionTests {
  private typealias Request = ReflectionV1.ServerReflectionRequest
  private typealias Response = ReflectionV1.ServerReflectionResponse

  /// A health service that says it serves.
  private struct Health: HealthV1.HealthService {
    func check(
      _ request: HealthV1.HealthCheckRequest,
      context: ServerContext
    ) async throws -> HealthV1.HealthCheckResponse {
      var response = HealthV1.HealthCheckResponse()
      response.status = .serving
      return response
    }

    func watch(
      _ request: HealthV1.HealthCheckRequest,
      context: ServerContext,
      responses: ResponseWriter<HealthV1.HealthCheckResponse>
    ) async throws {}
  }

  private func makeServer(descriptors: [[UInt8]] = ProtoFiles.descriptors) -> RPCServer {
    var router = Router()
    router.register(Health())
    router.register(ReflectionService(services: router.serviceNames, descriptors: descriptors))
    return RPCServer(
      router: router,
      configuration: ServerConfiguration(),
      group: MultiThreadedEventLoopGroup.singleton
    )
  }

  /// Asks in one stream; returns the answers.
  private func ask(
    _ questions: [Request.MessageRequest?],
    descriptors: [[UInt8]] = ProtoFiles.descriptors
  ) async throws -> [Response] {
    let server = makeServer(descriptors: descriptors)
    let channel = server.inProcessChannel()
    var answers: [Response] = []
    do {
      let call = try await ReflectionV1.ServerReflectionClient(channel).serverReflectionInfo()
      for question in questions {
        var request = Request()
        request.host = "host"
        request.messageRequest = question
        try await call.requests.write(request)
      }
      call.requests.finish()
      for try await response in call.responses { answers.append(response) }
    } catch {
      await channel.close()
      await server.shutdown(grace: .zero)
      throw error
    }
    await channel.close()
    await server.shutdown(grace: .zero)
    return answers
  }

  private func descriptors(_ response: Response) -> [[UInt8]]? {
    guard case .fileDescriptorResponse(let files) = response.messageResponse else { return nil }
    return files.fileDescriptorProto
  }

  @Test func `the services of a server are listed, reflection among them`() async throws {
    let answer = try #require(try await ask([.listServices("*")]).first)
    guard case .listServicesResponse(let list) = answer.messageResponse else {
      Issue.record("\(answer)")
      return
    }
    #expect(
      list.service.map(\.name) == [
        "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
      ]
    )
    #expect(answer.validHost == "host")
    #expect(answer.originalRequest?.messageRequest == .listServices("*"))
  }

  @Test func `clients that know the old name get the same answers`() async throws {
    let server = makeServer()
    let channel = server.inProcessChannel()
    let method = MethodDescriptor(
      service: "grpc.reflection.v1alpha.ServerReflection",
      method: "ServerReflectionInfo",
      kind: .bidirectional
    )
    let call: BidirectionalCall<Request, Response> = try await channel.bidirectional(method)
    var request = Request()
    request.messageRequest = .fileContainingSymbol("grpc.health.v1.Health")
    try await call.requests.write(request)
    call.requests.finish()
    var answers: [Response] = []
    for try await response in call.responses { answers.append(response) }
    await channel.close()
    await server.shutdown(grace: .zero)
    #expect(answers.map(descriptors) == [[HealthV1.fileDescriptor]])
  }

  @Test func `every kind of name is found in the file that declares it`() async throws {
    let names = [
      "grpc.health.v1.Health", "grpc.health.v1.Health.Check", "grpc.health.v1.HealthCheckRequest",
      "grpc.health.v1.HealthCheckRequest.service",
      "grpc.health.v1.HealthCheckResponse.ServingStatus",
      "grpc.health.v1.HealthCheckResponse.NOT_SERVING",
    ]
    let answers = try await ask(
      [.fileByFilename("grpc/health/v1/health.proto")] + names.map { .fileContainingSymbol($0) }
    )
    #expect(
      answers.map(descriptors) == [[[UInt8]]?](repeating: [HealthV1.fileDescriptor], count: 7)
    )
  }

  @Test func `nested messages, enums and oneofs are found`() async throws {
    let names = [
      "llmos.test.v1.Everything", "llmos.test.v1.Tree", "llmos.test.v1.Choices",
      "llmos.test.v1.Maps.ByNameEntry", "llmos.test.v1.Maps.ByNameEntry.value",
      "llmos.test.v1.Scalars.Nested.Kind", "llmos.test.v1.Colour",
    ]
    let answers = try await ask(
      names.map { .fileContainingSymbol($0) },
      descriptors: [TestV1.fileDescriptor]
    )
    for (name, answer) in zip(names, answers) {
      #expect(descriptors(answer) == [TestV1.fileDescriptor], "\(name)")
    }
  }

  @Test func `a file comes with those that it imports`() async throws {
    // FileDescriptorProtos with name, package and dependency.
    func file(_ name: String, imports: [String]) -> [UInt8] {
      func field(_ number: UInt8, _ text: String) -> [UInt8] {
        [number << 3 | 2, UInt8(text.utf8.count)] + Array(text.utf8)
      }
      return field(1, name) + field(2, "p") + imports.flatMap { field(3, $0) }
    }
    let a = file("a", imports: ["b", "absent"])
    let b = file("b", imports: ["c"])
    let c = file("c", imports: [])
    let answers = try await ask(
      [.fileByFilename("a"), .fileByFilename("c")],
      descriptors: [c, b, a]
    )
    #expect(answers.map(descriptors) == [[a, b, c], [c]])
  }

  @Test func `what is not found is an error within the stream`() async throws {
    var wanted = ReflectionV1.ExtensionRequest()
    wanted.containingType = "grpc.health.v1.HealthCheckRequest"
    wanted.extensionNumber = 7
    let answers = try await ask([
      .fileByFilename("absent.proto"), .fileContainingSymbol("grpc.health.v1.Absent"),
      .fileContainingSymbol(""), .fileContainingExtension(wanted),
      .allExtensionNumbersOfType("grpc.health.v1.Health"),
      .allExtensionNumbersOfType("grpc.health.v1.HealthCheckRequest"),
    ])
    let messages = answers.map { answer -> String in
      switch answer.messageResponse {
      case .errorResponse(let error): "\(error.errorCode) \(error.errorMessage)"
      case .allExtensionNumbersResponse(let none): "\(none.baseTypeName) \(none.extensionNumber)"
      default: "\(answer)"
      }
    }
    #expect(
      messages == [
        "5 file not found: absent.proto", "5 symbol not found: grpc.health.v1.Absent",
        "5 symbol not found: ", "5 extension not found: 7 of grpc.health.v1.HealthCheckRequest",
        "5 message not found: grpc.health.v1.Health", "grpc.health.v1.HealthCheckRequest []",
      ]
    )
  }

  @Test func `a request that asks for nothing ends the stream`() async throws {
    let error = await #expect(throws: RPCError.self) { try await ask([nil]) }
    #expect(error?.code == .invalidArgument)
  }

  @Test(.enabled(if: ReflectionPeer.isThere, "LLMOS_PEERS has no grpcio-reflection"))
  func `Google's reflection client finds services and calls one`() async throws {
    let server = makeServer()
    let port = try #require(try await server.start().port)
    let lines = try await ReflectionPeer.run(port: port)
    await server.shutdown(grace: .zero)
    let check = "grpc.health.v1.HealthCheckRequest grpc.health.v1.HealthCheckResponse"
    let info =
      "grpc.reflection.v1.ServerReflectionRequest grpc.reflection.v1.ServerReflectionResponse"
    #expect(
      lines == [
        "service grpc.health.v1.Health", "method grpc.health.v1.Health.Check \(check)",
        "method grpc.health.v1.Health.Watch \(check)",
        "service grpc.reflection.v1.ServerReflection",
        "method grpc.reflection.v1.ServerReflection.ServerReflectionInfo \(info)",
        "health SERVING", "absent",
      ]
    )
  }
}

/// `Tests/Fixtures/reflection_peer.py`.
private enum ReflectionPeer {
  static var isThere: Bool {
    let venv = URL(filePath: ProtobufPeer.python).deletingLastPathComponent()
      .deletingLastPathComponent()
    let library = venv.appending(path: "lib")
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: library.path)) ?? []
    return versions.contains {
      FileManager.default.fileExists(
        atPath: library.appending(path: "\($0)/site-packages/grpc_reflection").path
      )
    }
  }

  /// Runs it to its end; returns the lines that it printed.
  static func run(port: Int) async throws -> [String] {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let process = Process()
    process.executableURL = URL(filePath: ProtobufPeer.python)
    process.arguments = [tests.appending(path: "Fixtures/reflection_peer.py").path, "\(port)"]
    let output = Pipe()
    process.standardOutput = output
    try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Void, any Error>) in
      process.terminationHandler = { _ in continuation.resume() }
      do { try process.run() } catch { continuation.resume(throwing: error) }
    }
    // A few lines, which the pipe holds.
    let printed = try output.fileHandleForReading.readToEnd() ?? Data()
    return String(decoding: printed, as: UTF8.self).split(separator: "\n").map(String.init)
  }
}
