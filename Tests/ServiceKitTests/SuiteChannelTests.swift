import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import Synchronization
import Testing

@testable import ServiceKit

/// A tokenizer that is not there for the first calls of each method.
private final class AbsentAtFirst: TokenizerV1.TokenizerService {
  private let absences: Int
  private let counts = Mutex<[String: Int]>([:])

  init(absences: Int) { self.absences = absences }

  func calls(_ method: String) -> Int { counts.withLock { $0[method, default: 0] } }

  private func answer<Response>(_ method: String, _ response: Response) throws -> Response {
    let before = counts.withLock { counts in
      defer { counts[method, default: 0] += 1 }
      return counts[method, default: 0]
    }
    guard before >= absences else { throw RPCError(.unavailable, "absent") }
    return response
  }

  func encode(
    _ request: TokenizerV1.EncodeRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.EncodeResponse {
    try answer("encode", .init())
  }

  func decode(
    _ request: TokenizerV1.DecodeRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.DecodeResponse {
    try answer("decode", .init())
  }

  func renderChat(
    _ request: TokenizerV1.RenderChatRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.RenderChatResponse {
    try answer("renderChat", .init())
  }

  func loadModel(
    _ request: TokenizerV1.LoadModelRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.LoadModelResponse {
    try answer("loadModel", .init())
  }
}

/// What services do when another is away for a moment.
@Suite(.timeLimit(.minutes(5))) struct SuiteChannelTests {
  private func with(
    absences: Int,
    _ body: (TokenizerV1.TokenizerClient, AbsentAtFirst) async throws -> Void
  ) async throws {
    let service = AbsentAtFirst(absences: absences)
    var router = Router()
    router.register(service)
    let group = MultiThreadedEventLoopGroup.singleton
    let server = RPCServer(router: router, configuration: .init(), group: group)
    let port = try await server.start().port ?? 0
    let channel = RPCChannel(to: ServiceAddress(host: "127.0.0.1", port: port), group: group)
    let result = await Result(catching: {
      try await body(TokenizerV1.TokenizerClient(channel), service)
    })
    await channel.close()
    await server.shutdown(grace: .zero)
    try result.get()
  }

  @Test func `a method that changes nothing is called again`() async throws {
    try await with(absences: 2) { client, service in
      _ = try await client.encode(.init())
      _ = try await client.decode(.init())
      #expect(service.calls("encode") == 3)
      #expect(service.calls("decode") == 3)
    }
  }

  @Test func `three attempts are enough`() async throws {
    try await with(absences: .max) { client, service in
      let error = await #expect(throws: RPCError.self) { try await client.encode(.init()) }
      #expect(error?.code == .unavailable)
      #expect(service.calls("encode") == 3)
    }
  }

  @Test func `a method with an effect is called once`() async throws {
    try await with(absences: .max) { client, service in
      let error = await #expect(throws: RPCError.self) { try await client.loadModel(.init()) }
      #expect(error?.code == .unavailable)
      #expect(service.calls("loadModel") == 1)
    }
  }
}

extension Result where Failure == any Error {
  fileprivate init(catching body: () async throws -> Success) async {
    do { self = .success(try await body()) } catch { self = .failure(error) }
  }
}
