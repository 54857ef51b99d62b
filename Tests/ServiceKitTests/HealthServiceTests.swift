import Logging
import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import Synchronization
import Testing

@testable import ServiceKit

/// A server with the health service, its observer and a channel to it, for one test.
private struct Loopback {
  let health = HealthRegistry()
  let metrics = MetricsRegistry()
  let sink = MemorySink()
  let server: RPCServer
  let channel: RPCChannel

  init(_ extra: (inout Router) -> Void = { _ in }) async throws {
    let sink = sink
    let logger = Logger(label: "test") { _ in
      LineLogHandler(service: "test", format: .text, level: .debug, sink: sink)
    }
    let observer = CallObserver(logger: logger, logsAccess: true, metrics: metrics)
    var router = Router()
    router.register(HealthService(registry: health))
    extra(&router)
    var configuration = ServerConfiguration()
    observer.install(in: &router, &configuration)
    health.add(services: router.serviceNames)
    let group = MultiThreadedEventLoopGroup.singleton
    server = RPCServer(router: router, configuration: configuration, group: group)
    let address = try await server.start()
    channel = RPCChannel(host: "127.0.0.1", port: address.port ?? 0, group: group)
  }

  var client: HealthV1.HealthClient { HealthV1.HealthClient(channel) }

  func check(
    _ service: String = "",
    options: CallOptions = CallOptions()
  ) async throws(RPCError) -> HealthV1.HealthCheckResponse.ServingStatus {
    var request = HealthV1.HealthCheckRequest()
    request.service = service
    return try await client.check(request, options: options).status
  }

  func end() async {
    await channel.close()
    await server.shutdown(grace: .zero)
  }
}

@Suite(.timeLimit(.minutes(5))) struct HealthOverRPC {
  @Test func `a check follows the process`() async throws {
    let loopback = try await Loopback()
    #expect(try await loopback.check() == .notServing)
    loopback.health.markReady()
    #expect(try await loopback.check() == .serving)
    #expect(try await loopback.check("grpc.health.v1.Health") == .serving)
    let error = await #expect(throws: RPCError.self) { _ = try await loopback.check("a\nb") }
    #expect(error?.code == .notFound)
    #expect(error?.message == "unknown service 'a\\nb'")
    loopback.health.markDraining()
    #expect(try await loopback.check() == .notServing)
    await loopback.end()
  }

  @Test func `a watch is told every change and sent away by the drain`() async throws {
    let loopback = try await Loopback()
    var request = HealthV1.HealthCheckRequest()
    request.service = "later.Service"
    let responses = try await loopback.client.watch(request)
    var seen: [HealthV1.HealthCheckResponse.ServingStatus] = []
    let error = await #expect(throws: RPCError.self) {
      for try await response in responses {
        seen.append(response.status)
        switch seen.count {
        case 1: loopback.health.add(services: ["later.Service"])
        case 2: loopback.health.markReady()
        case 3: loopback.health.set("later.Service", serving: false)
        case 4: loopback.health.set("later.Service", serving: true)
        default: loopback.health.markDraining()
        }
      }
    }
    #expect(error?.code == .unavailable)
    #expect(
      seen == [.serviceUnknown, .notServing, .serving, .notServing, .serving, .notServing]
    )
    await loopback.end()
  }

  @Test func `a watch does not hold up the drain of the server`() async throws {
    let loopback = try await Loopback()
    loopback.health.markReady()
    let responses = try await loopback.client.watch(HealthV1.HealthCheckRequest())
    var iterator = responses.makeAsyncIterator()
    #expect(try await iterator.next()?.status == .serving)
    loopback.health.markDraining()
    // The time limit of the test is shorter than this grace.
    await loopback.server.shutdown(grace: .seconds(600))
    #expect(try await iterator.next()?.status == .notServing)
    await loopback.channel.close()
  }
}

@Suite(.timeLimit(.minutes(5))) struct ObservedCalls {
  private static let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
  private typealias Empty = HealthV1.HealthCheckRequest

  private static func method(_ name: String) -> MethodDescriptor {
    MethodDescriptor(service: "test.Test", method: name, kind: .unary)
  }

  @Test func `a call has the caller's context and hands it on`() async throws {
    let seen = Mutex<(RequestContext?, Metadata)>((nil, Metadata()))
    let loopback = try await Loopback { router in
      router.unary(Self.method("Echo")) { (request: Empty, _: ServerContext) -> Empty in
        seen.withLock { $0 = (RequestContext.current, CallOptions.inheriting().metadata) }
        return request
      }
    }
    let context = RequestContext(
      requestID: "req-42",
      traceparent: Self.trace,
      tracestate: "v=1"
    )
    let _: Empty = try await RequestContext.$current.withValue(context) {
      try await loopback.channel.unary(
        Self.method("Echo"),
        Empty(),
        options: .inheriting(timeout: .seconds(30))
      )
    }
    seen.withLock {
      #expect($0.0 == context)
      #expect($0.1.first("x-request-id") == "req-42")
      #expect($0.1.first("traceparent") == Self.trace)
      #expect($0.1.first("tracestate") == "v=1")
    }
    await loopback.end()
    let line = try #require(loopback.sink.lines.first)
    #expect(line.contains(" level=info "))
    #expect(line.contains(" msg=call request_id=req-42 duration_ms="))
    #expect(line.contains(" method=/test.Test/Echo "))
    #expect(line.hasSuffix(" status=OK\n"))
  }

  @Test func `a call without a context gets a fresh id, told in the error's metadata`() async throws
  {
    let loopback = try await Loopback()
    var options = CallOptions()
    options.metadata.add("bad id!", for: "x-request-id")
    let error = await #expect(throws: RPCError.self) {
      _ = try await loopback.check("nobody", options: options)
    }
    let id = try #require(error?.metadata.first("x-request-id"))
    #expect(id.utf8.count == 32)
    await loopback.end()
    #expect(loopback.sink.lines.count == 1)
    #expect(loopback.sink.lines[0].contains(" level=debug "))
    #expect(loopback.sink.lines[0].contains(" request_id=\(id) "))
    #expect(loopback.sink.lines[0].contains(" status=NOT_FOUND\n"))
  }

  @Test func `calls are counted by method and status`() async throws {
    let loopback = try await Loopback { router in
      router.unary(Self.method("Fail")) { (_: Empty, _: ServerContext) -> Empty in
        throw ServiceKitError(.runFailed, "internals")
      }
      router.unary(Self.method("Stop")) { (_: Empty, _: ServerContext) -> Empty in
        throw CancellationError()
      }
    }
    for _ in 0..<3 { _ = try await loopback.check() }
    let failed = await #expect(throws: RPCError.self) {
      let _: Empty = try await loopback.channel.unary(
        Self.method("Fail"),
        Empty(),
        options: CallOptions()
      )
    }
    #expect(failed?.code == .unknown)
    let stopped = await #expect(throws: RPCError.self) {
      let _: Empty = try await loopback.channel.unary(
        Self.method("Stop"),
        Empty(),
        options: CallOptions()
      )
    }
    #expect(stopped?.code == .cancelled)
    await loopback.end()
    let text = loopback.metrics.exposition()
    let health = #"grpc_type="unary",grpc_service="grpc.health.v1.Health",grpc_method="Check""#
    let test = #"grpc_type="unary",grpc_service="test.Test",grpc_method="#
    #expect(text.contains("grpc_server_started_total{\(health)} 3\n"))
    #expect(text.contains("grpc_server_handled_total{\(health),grpc_code=\"OK\"} 3\n"))
    #expect(text.contains("grpc_server_handling_seconds_count{\(health)} 3\n"))
    #expect(text.contains("grpc_server_handled_total{\(test)\"Fail\",grpc_code=\"Unknown\"} 1\n"))
    #expect(text.contains("grpc_server_started_total{\(test)\"Stop\"} 1\n"))
    #expect(text.contains("\(test)\"Stop\",grpc_code=\"Canceled\"} 1\n"))
    #expect(loopback.sink.lines.contains { $0.contains("level=error") && $0.contains("Fail") })
    #expect(!loopback.sink.lines.contains { $0.contains("internals") })
  }
}
