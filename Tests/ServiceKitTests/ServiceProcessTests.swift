import Foundation
import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import Testing

@testable import ServiceKit

@Suite(.timeLimit(.minutes(5))) struct LifeOfAProcess {
  private func get(_ port: Int, _ path: String) async throws -> String {
    let client = try await RawClient(port: port)
    try await client.send("GET \(path) HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    return try await client.receivedToEnd()
  }

  private func withHealth<R: Sendable>(
    _ port: Int,
    _ body: (HealthV1.HealthClient) async throws -> R
  ) async throws -> R {
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: port,
      group: MultiThreadedEventLoopGroup.singleton
    )
    let result: R
    do {
      result = try await body(HealthV1.HealthClient(channel))
    } catch {
      await channel.close()
      throw error
    }
    await channel.close()
    return result
  }

  @Test(arguments: [SIGTERM, SIGINT])
  func `it starts, serves, and ends in order on a signal`(signal: Int32) async throws {
    let run = try SampleRun([])
    let ports = try await run.ports()
    #expect(Set(ports.keys) == ["pid", "rpc", "admin"])
    let (admin, rpc) = (try #require(ports["admin"]), try #require(ports["rpc"]))
    #expect(try await get(admin, "/readyz").contains("readyz check passed"))
    let metrics = try await get(admin, "/metrics")
    #expect(
      metrics.contains(
        "llmos_build_info{program=\"llmos-sample\",version=\"\(ServiceProcess.suiteVersion)\"} 1"
      )
    )
    #expect(metrics.contains("process_resident_memory_bytes "))
    #expect(metrics.contains("\nllmos_ready 1\n"))
    let status = try await withHealth(rpc) {
      try await $0.check(HealthV1.HealthCheckRequest()).status
    }
    #expect(status == .serving)
    try await run.send(signal: signal)
    #expect(try await run.exitCode() == 0)
    #expect(!run.hasPortsFile)
    let steps = ["msg=ready", "msg=\"shutting down\"", "msg=hook", "msg=ended"]
    let found = steps.map { run.output.range(of: $0)?.lowerBound }
    #expect(found.allSatisfy { $0 != nil })
    #expect(found.compactMap { $0 } == found.compactMap { $0 }.sorted())
  }

  @Test func `a call to an unknown method is counted and logged like others`() async throws {
    let run = try SampleRun([])
    let ports = try await run.ports()
    let (admin, rpc) = (try #require(ports["admin"]), try #require(ports["rpc"]))
    for _ in 0..<2 {
      await #expect(throws: RPCError.self) { try await callSlow(rpc, "Nope") }
    }
    let labels = "grpc_type=\"unary\",grpc_service=\"unknown\",grpc_method=\"unknown\""
    let metrics = try await get(admin, "/metrics")
    #expect(metrics.contains("grpc_server_started_total{\(labels)} 2"))
    #expect(
      metrics.contains("grpc_server_handled_total{\(labels),grpc_code=\"Unimplemented\"} 2")
    )
    try await run.send(signal: SIGTERM)
    #expect(try await run.exitCode() == 0)
    let lines = run.output.split(separator: "\n").filter { $0.contains("/test.Slow/Nope") }
    #expect(lines.count == 2)
    #expect(lines.allSatisfy { $0.contains("status=UNIMPLEMENTED") })
  }

  /// The services that a run lists by reflection; nil when it does not know that.
  private func reflectedServices(_ arguments: [String]) async throws -> [String]? {
    let run = try SampleRun(arguments)
    let port = try #require(try await run.ports()["rpc"])
    let names = try await withHealth(port) { health -> [String]? in
      let client = ReflectionV1.ServerReflectionClient(health.channel)
      let call = try await client.serverReflectionInfo()
      var request = ReflectionV1.ServerReflectionRequest()
      request.messageRequest = .listServices("")
      try await call.requests.write(request)
      call.requests.finish()
      var names: [String]?
      do {
        for try await response in call.responses {
          guard case .listServicesResponse(let list) = response.messageResponse else { continue }
          names = list.service.map(\.name)
        }
      } catch {
        #expect((error as? RPCError)?.code == .unimplemented)
      }
      return names
    }
    try await run.send(signal: SIGTERM)
    #expect(try await run.exitCode() == 0)
    return names
  }

  @Test func `it tells its services by reflection unless it is told not to`() async throws {
    let names = try #require(try await reflectedServices([]))
    #expect(names.contains("grpc.health.v1.Health"))
    #expect(names.contains("grpc.reflection.v1.ServerReflection"))
    #expect(!names.contains("grpc.channelz.v1.Channelz"))
    let more = try #require(try await reflectedServices(["--rpc.channelz=true"]))
    #expect(more.contains("grpc.channelz.v1.Channelz"))
    #expect(try await reflectedServices(["--rpc.reflection=false"]) == nil)
  }

  @Test func `it ends when its supervisor is gone`() async throws {
    let run = try SampleRun(["--supervised"])
    _ = try await run.ports()
    run.closeInput()
    #expect(try await run.exitCode() == 0)
    #expect(run.output.contains("reason=\"standard input ended\""))
  }

  @Test func `it does not mind the end of standard input otherwise`() async throws {
    let run = try SampleRun([])
    let ports = try await run.ports()
    run.closeInput()
    #expect(try await get(ports["admin"] ?? 0, "/livez").contains("200 OK"))
    try await run.send(signal: SIGTERM)
    #expect(try await run.exitCode() == 0)
  }

  @Test func `a signal while it is being built ends it`() async throws {
    let run = try SampleRun(["--build.delay=60s", "--log.level=debug"])
    // The handlers of signals are in place before the admin endpoint opens.
    #expect(try await run.wrote("msg=starting"))
    try await run.send(signal: SIGTERM)
    #expect(try await run.exitCode() == 0)
    #expect(!run.output.contains("msg=ready"))
  }

  @Test func `parts that are built after the signal are cleaned up`() async throws {
    let run = try SampleRun(["--build.delay=60s", "--build.stubborn", "--log.level=debug"])
    #expect(try await run.wrote("msg=starting"))
    try await run.send(signal: SIGTERM)
    #expect(try await run.exitCode() == 0)
    #expect(run.output.contains("msg=hook"))
  }

  private func callSlow(_ port: Int, _ method: String) async throws {
    let channel = RPCChannel(
      host: "127.0.0.1",
      port: port,
      group: MultiThreadedEventLoopGroup.singleton
    )
    let descriptor = MethodDescriptor(service: "test.Slow", method: method, kind: .unary)
    let result: Result<HealthV1.HealthCheckRequest, RPCError>
    do throws(RPCError) {
      result = .success(
        try await channel.unary(
          descriptor,
          HealthV1.HealthCheckRequest(),
          options: CallOptions()
        )
      )
    } catch {
      result = .failure(error)
    }
    await channel.close()
    _ = try result.get()
  }

  @Test func `a running call ends well while the process drains`() async throws {
    let run = try SampleRun(["--shutdown.grace=50s"])
    let port = try #require(try await run.ports()["rpc"])
    async let call: Void = callSlow(port, "UntilDrain")
    #expect(try await run.wrote("msg=working"))
    try await run.send(signal: SIGTERM)
    try await call
    #expect(try await run.exitCode() == 0)
    #expect(run.output.contains("method=/test.Slow/UntilDrain"))
  }

  @Test func `a call that outlasts the grace is cancelled`() async throws {
    let run = try SampleRun(["--shutdown.grace=100ms"])
    let port = try #require(try await run.ports()["rpc"])
    let call = Task { try await callSlow(port, "ForEver") }
    #expect(try await run.wrote("msg=working"))
    try await run.send(signal: SIGTERM)
    await #expect(throws: RPCError.self) { try await call.value }
    #expect(try await run.exitCode() == 0)
  }

  @Test func `until the delay is over, calls are taken while health says otherwise`() async throws {
    let run = try SampleRun(["--shutdown.delay=600s"])
    let ports = try await run.ports()
    let (admin, rpc) = (try #require(ports["admin"]), try #require(ports["rpc"]))
    try await run.send(signal: SIGTERM)
    #expect(try await run.wrote("msg=\"shutting down\""))
    try await withHealth(rpc) { client in
      // The line is written a moment before.
      while try await client.check(HealthV1.HealthCheckRequest()).status == .serving {}
      #expect(try await client.check(HealthV1.HealthCheckRequest()).status == .notServing)
    }
    #expect(try await get(admin, "/readyz").contains("503"))
    #expect(try await get(admin, "/livez").contains("200 OK"))
    try await run.send(signal: SIGTERM)
    #expect(try await run.exitCode() == 128 + SIGTERM)
    let short = try SampleRun(["--shutdown.delay=50ms"])
    _ = try await short.ports()
    try await short.send(signal: SIGTERM)
    #expect(try await short.exitCode() == 0)
  }

  @Test func `further listeners are in the ports file and end before the background`() async throws
  {
    let run = try SampleRun(["--http.port=0"])
    let ports = try await run.ports()
    _ = try await RawClient(port: try #require(ports["http"]))
    try await run.send(signal: SIGTERM)
    #expect(try await run.exitCode() == 0)
    let ends = ["msg=\"http ends\"", "msg=\"background ends\"", "msg=hook"]
      .compactMap { run.output.range(of: $0)?.lowerBound }
    #expect(ends.count == 3)
    #expect(ends == ends.sorted())
  }

  @Test func `a listener that cannot open takes the process down`() async throws {
    let taken = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0).get()
    let port = taken.localAddress?.port ?? 0
    let run = try SampleRun(["--http.port=\(port)"])
    #expect(try await run.exitCode() == 1)
    #expect(run.lastLine.hasPrefix("llmos-sample: cannot listen on \(port): "))
    #expect(!run.hasPortsFile)
    try await taken.close()
  }

  @Test func `a second signal ends it at once`() async throws {
    let run = try SampleRun(["--hang"])
    _ = try await run.ports()
    try await run.send(signal: SIGTERM)
    #expect(try await run.wrote("msg=hook"))
    try await run.send(signal: SIGTERM)
    #expect(try await run.exitCode() == 128 + SIGTERM)
    #expect(!run.hasPortsFile)
  }

  @Test func `a shutdown that hangs is ended`() async throws {
    let run = try SampleRun(["--hang", "--shutdown.grace=0s"])
    _ = try await run.ports()
    try await run.send(signal: SIGTERM)
    #expect(try await run.exitCode() == 1)
    #expect(run.output.contains("the shutdown hangs"))
    #expect(!run.hasPortsFile)
  }

  @Test func `a background part that ends takes the process down`() async throws {
    let run = try SampleRun(["--dies"])
    #expect(try await run.exitCode() == 1)
    #expect(run.lastLine.hasPrefix("llmos-sample: "))
    #expect(!run.hasPortsFile)
  }
}

@Suite(.timeLimit(.minutes(5))) struct RefusedStarts {
  @Test func `a wrong option is one line and exit code 2`() async throws {
    let run = try SampleRun(["--rpc.prot=1"])
    #expect(try await run.exitCode() == 2)
    #expect(
      run.output == "llmos-sample: unknown flag --rpc.prot; did you mean --rpc.port?\n"
    )
    let variable = try SampleRun([], environment: ["LLMOS_RPC_THREADS": "0"])
    #expect(try await variable.exitCode() == 2)
    #expect(
      variable.output
        == "llmos-sample: option 'rpc.threads' (environment variable LLMOS_RPC_THREADS): "
        + "'0' is outside 1...64\n"
    )
  }

  @Test func `an option found wrong while building is one line and exit code 2`() async throws {
    let run = try SampleRun(["--folder=/no/such"])
    #expect(try await run.exitCode() == 2)
    #expect(
      run.lastLine
        == "llmos-sample: option 'folder' (flag --folder): '/no/such' is not a folder"
    )
  }

  @Test func `a failed build is one line and exit code 1`() async throws {
    let run = try SampleRun(["--build.failure=model damaged\nbadly"])
    #expect(try await run.exitCode() == 1)
    #expect(run.lastLine == "llmos-sample: model damaged\\nbadly")
  }

  @Test func `a port in use is one line with option and address, and exit code 1`() async throws {
    let taken = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0).get()
    let port = taken.localAddress?.port ?? 0
    for option in ["rpc.port", "admin.port"] {
      let run = try SampleRun(["--\(option)=\(port)"])
      #expect(try await run.exitCode() == 1)
      #expect(
        run.lastLine
          == "llmos-sample: option '\(option)' (flag --\(option)): "
          + "cannot listen on 127.0.0.1:\(port): Address already in use"
      )
      #expect(!run.hasPortsFile)
    }
    try await taken.close()
  }

  @Test func `an address that is not of this machine is named`() async throws {
    let run = try SampleRun(["--admin.host=192.0.2.1"])
    #expect(try await run.exitCode() == 1)
    #expect(
      run.lastLine
        == "llmos-sample: option 'admin.port' (flag --admin.port): "
        + "cannot listen on 192.0.2.1:0: Cannot assign requested address"
    )
  }

  @Test func `a ports file that cannot be written is refused`() async throws {
    let run = try SampleRun([], portsPath: "/no/such/ports")
    #expect(try await run.exitCode() == 2)
    #expect(
      run.lastLine
        == "llmos-sample: option 'ports.file' (flag --ports.file): "
        + "'/no/such/ports' cannot be written"
    )
  }

  @Test func `a health check asks the service that runs with the same options`() async throws {
    let run = try SampleRun([])
    let admin = try #require(try await run.ports()["admin"])
    let ready = try SampleRun(["--healthcheck", "--admin.port=\(admin)", "--admin.host=0.0.0.0"])
    #expect(try await ready.exitCode() == 0)
    #expect(ready.output.hasSuffix("readyz check passed\n"))
    try await run.send(signal: SIGTERM)
    #expect(try await run.exitCode() == 0)
    let gone = try SampleRun(["--healthcheck", "--admin.port=\(admin)"])
    #expect(try await gone.exitCode() == 1)
    #expect(gone.lastLine.hasPrefix("llmos-sample: cannot ask http://127.0.0.1:\(admin)/readyz: "))
    #expect(!gone.hasPortsFile)
  }

  @Test func `a health check of a service that is not ready names what is missing`() async throws {
    let health = HealthRegistry()
    let group = MultiThreadedEventLoopGroup.singleton
    let server = AdminServer(metrics: MetricsRegistry(), health: health, group: group)
    let port = try await server.start(host: "127.0.0.1", port: 0)
    let check = try SampleRun(["--healthcheck", "--admin.port=\(port)"])
    #expect(try await check.exitCode() == 1)
    #expect(check.lastLine.contains("/readyz: [-]"), "\(check.output)")
    await server.stop()
  }

  @Test func `help, version and configuration go to stdout with exit code 0`() async throws {
    let help = try SampleRun(["--help"])
    #expect(try await help.exitCode() == 0)
    #expect(help.output.contains("--build.delay DURATION"))
    #expect(help.output.contains("(integer; 0...65535; default: 7199; LLMOS_RPC_PORT)"))
    let version = try SampleRun(["--version"])
    #expect(try await version.exitCode() == 0)
    #expect(version.output == "llmos-sample \(ServiceProcess.suiteVersion)\n")
    let configuration = try SampleRun(["--print-config", "--log.level=debug"])
    #expect(try await configuration.exitCode() == 0)
    #expect(configuration.output.contains("log:\n  access: true  # default\n"))
    #expect(configuration.output.contains("  level: debug  # flag\n"))
  }
}

@Suite(.timeLimit(.minutes(5))) struct OneShotValues {
  @Test func `waiting before and after gives the value, and the first one stays`() async throws {
    let shot = OneShot<Int>()
    async let early = shot.value()
    shot.succeed(1)
    shot.succeed(2)
    shot.fail(CancellationError())
    #expect(try await early == 1)
    #expect(try await shot.value() == 1)
  }

  @Test func `a cancelled wait ends, and others go on`() async throws {
    let shot = OneShot<Int>()
    let other = Task { try await shot.value() }
    let cancelled = Task { try await shot.value() }
    cancelled.cancel()
    await #expect(throws: CancellationError.self) { try await cancelled.value }
    shot.succeed(3)
    #expect(try await other.value == 3)
  }
}
