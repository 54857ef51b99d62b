import Foundation

/// The cases, each printed as it is measured.
struct Measurement {
  let folder: WorkFolder
  let contenders: [Contender]
  let seconds: Int
  let rounds: Int

  private static let smallBytes = 21
  private static let payloads = [("21B", 21), ("1KiB", 1_024), ("64KiB", 65_536)]

  /// Unary calls of 21 bytes at 10 x 100 per server CPU-second, the servers in turn.
  func compare() throws {
    let request = try RequestFile(in: folder.path, bytes: Self.smallBytes)
    let servers = try contenders.map { ($0, try RunningServer($0)) }
    defer { for (_, server) in servers { server.stop() } }
    // The first calls of a server pay for its pages and caches.
    for (_, server) in servers {
      _ = try H2Load.run(server, method: "Unary", request, Shape(10, 100), .seconds(1))
    }
    var perCPU: [String: [Double]] = [:]
    var perSecond: [String: [Double]] = [:]
    for _ in 0..<rounds {
      for (contender, server) in servers {
        let (result, cpu) = try measured(server) {
          try H2Load.run(server, method: "Unary", request, Shape(10, 100), .seconds(seconds))
        }
        perCPU[contender.name, default: []].append(result.calls / cpu)
        perSecond[contender.name, default: []].append(result.calls / result.seconds)
      }
    }
    for (contender, _) in servers {
      let name = "\(contender.name)_unary_21B_10x100"
      Report.show("\(name)_calls_per_cpu_s", median(perCPU[contender.name]), "calls/s", digits: 0)
      Report.show("\(name)_server_us", 1e6 / median(perCPU[contender.name]), "us")
      Report.show("\(name)_calls_per_s", median(perSecond[contender.name]), "calls/s", digits: 0)
    }
    for contender in contenders.dropFirst() {
      // Of each round by itself: what slows the machine slows both.
      let ratios = zip(perCPU["llmos"] ?? [], perCPU[contender.name] ?? []).map { $0 / $1 }
      Report.show("ratio_\(contender.name)", median(ratios), "x")
    }
  }

  /// The time of one call when there is no other.
  func latency() throws {
    let request = try RequestFile(in: folder.path, bytes: Self.smallBytes)
    let servers = try contenders.map { ($0, try RunningServer($0)) }
    defer { for (_, server) in servers { server.stop() } }
    var results: [String: [LoadResult]] = [:]
    for _ in 0..<rounds {
      for (contender, server) in servers {
        results[contender.name, default: []].append(
          try H2Load.run(
            server,
            method: "Unary",
            request,
            Shape(1, 1),
            .seconds(seconds),
            log: "\(folder.path)/times.log"
          )
        )
      }
    }
    for (contender, _) in servers {
      let name = "\(contender.name)_unary_21B_1x1"
      let all = results[contender.name] ?? []
      Report.show("\(name)_mean", median(all.map(\.meanMicroseconds)), "us", digits: 1)
      Report.show("\(name)_p50", median(all.map(\.p50Microseconds)), "us", digits: 1)
      Report.show("\(name)_p99", median(all.map(\.p99Microseconds)), "us", digits: 1)
    }
  }

  /// Heap allocations of the server per unary call in steady state, counted by a library that is
  /// loaded before the C library's.
  func allocations() throws {
    let library = "\(folder.path)/malloc_count.so"
    let counter = "\(folder.path)/malloc_count"
    try Shell.run(
      "/usr/bin/env",
      [
        "cc", "-O2", "-shared", "-fPIC", "-o", library,
        "\(WorkFolder.sources)/peers/malloc_count.c",
      ]
    )
    let request = try RequestFile(in: folder.path, bytes: Self.smallBytes)
    for contender in contenders {
      try Data(count: 8).write(to: URL(filePath: counter))
      let server = try RunningServer(
        contender,
        environment: ["LD_PRELOAD": library, "LLMOS_MALLOC_COUNT": counter]
      )
      defer { server.stop() }
      var counts: [Double] = []
      // The difference of two runs leaves out what connections and warming up allocate.
      for calls in [10_000, 10_000, 50_000] {
        let before = try count(counter)
        _ = try H2Load.run(server, method: "Unary", request, Shape(10, 100), .calls(calls))
        counts.append(try count(counter) - before)
      }
      Report.show(
        "\(contender.name)_allocations_per_call",
        (counts[2] - counts[1]) / 40_000,
        "allocations"
      )
    }
  }

  /// One stream that carries many messages.
  func streams() throws {
    let cases = [
      (
        "expand_21B", "Expand", try RequestFile(in: folder.path, bytes: 21, count: 500_000), 5e5, 21
      ),
      ("chat_21B", "Chat", try RequestFile(in: folder.path, bytes: 21, messages: 500_000), 5e5, 21),
      (
        "expand_64KiB", "Expand", try RequestFile(in: folder.path, bytes: 65_536, count: 40_000),
        4e4,
        65_536
      ),
    ]
    let floors = try (0..<3).map { _ in
      try KernelFloor.gigabytesPerCPUSecond(bytes: 65_536, pieces: 40_000)
    }
    Report.show("kernel_write_64KiB_per_cpu_s", median(floors), "GB/s")
    for contender in contenders {
      let server = try RunningServer(contender)
      defer { server.stop() }
      for (name, method, request, messages, bytes) in cases {
        var perCPU: [Double] = []
        var perSecond: [Double] = []
        for _ in 0..<3 {
          let (result, cpu) = try measured(server) {
            try H2Load.run(server, method: method, request, Shape(1, 1), .calls(1))
          }
          perCPU.append(messages / max(cpu, 0.01))
          perSecond.append(messages / result.seconds)
        }
        let title = "\(contender.name)_\(name)"
        if bytes > 1_000 {
          let gigabytes = Double(bytes) / 1e9
          Report.show("\(title)_per_cpu_s", median(perCPU) * gigabytes, "GB/s")
          Report.show("\(title)_per_s", median(perSecond) * gigabytes, "GB/s")
        } else {
          Report.show("\(title)_per_cpu_s", median(perCPU), "messages/s", digits: 0)
          Report.show("\(title)_per_s", median(perSecond), "messages/s", digits: 0)
        }
      }
    }
  }

  /// What connections without calls take.
  func idleConnections(_ count: Int) throws {
    for contender in contenders {
      try IdleConnections.raiseFileLimit(to: count + 1_000)
      let server = try RunningServer(contender)
      defer { server.stop() }
      let first = try IdleConnections(10, port: server.port)
      let before = try server.residentBytes()
      do {
        let connections = try IdleConnections(count, port: server.port)
        let held = try server.residentBytes() - before
        Report.show("\(contender.name)_\(count)_idle_connections", held / 1e6, "MB", digits: 1)
        connections.close()
      } catch {
        Report.note("\(contender.name)_\(count)_idle_connections not_measured: \(error)")
      }
      first.close()
    }
  }

  /// Every shape and payload, in plain and over TLS.
  func grid(_ shapes: [Shape]) throws {
    let certificate = try Certificate(in: folder.path)
    for tls in [nil, certificate] {
      for (title, bytes) in Self.payloads {
        let request = try RequestFile(in: folder.path, bytes: bytes)
        for shape in shapes {
          for contender in contenders {
            let server = try RunningServer(contender, tls: tls)
            defer { server.stop() }
            let (result, cpu) = try measured(server) {
              try H2Load.run(server, method: "Unary", request, shape, .seconds(seconds))
            }
            let name = "\(contender.name)_unary_\(title)_\(shape)_\(tls == nil ? "plain" : "tls")"
            Report.show("\(name)_server_us", cpu / result.calls * 1e6, "us")
            Report.show("\(name)_calls_per_s", result.calls / result.seconds, "calls/s", digits: 0)
            Report.show("\(name)_mean", result.meanMicroseconds, "us", digits: 1)
          }
        }
      }
    }
  }

  /// Each server with its own client.
  func ownClients(_ shapes: [Shape]) throws {
    let certificate = try Certificate(in: folder.path)
    for tls in [nil, certificate] {
      for shape in shapes {
        for contender in contenders {
          let server = try RunningServer(contender, tls: tls)
          defer { server.stop() }
          let (result, cpu) = try measured(server) {
            try contender.load(
              server,
              payloadBytes: RequestFile.payloadBytes(Self.smallBytes),
              shape,
              seconds: seconds,
              tls
            )
          }
          let name =
            "\(contender.name)_own_client_21B_\(shape)_\(tls == nil ? "plain" : "tls")"
          Report.show("\(name)_server_us", cpu / result.calls * 1e6, "us")
          Report.show("\(name)_calls_per_s", result.calls / result.seconds, "calls/s", digits: 0)
          Report.show("\(name)_p50", result.p50Microseconds, "us", digits: 1)
          Report.show("\(name)_p99", result.p99Microseconds, "us", digits: 1)
        }
      }
    }
  }

  // MARK: Private

  /// What `body` returns, and the server's processor seconds meanwhile.
  private func measured<R>(_ server: RunningServer, _ body: () throws -> R) throws -> (R, Double) {
    let before = try server.cpuSeconds()
    let result = try body()
    return (result, try server.cpuSeconds() - before)
  }

  private func count(_ path: String) throws -> Double {
    let bytes = try Data(contentsOf: URL(filePath: path))
    return Double(bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
  }

  private func median(_ values: [Double]?) -> Double {
    guard let sorted = values?.sorted(), !sorted.isEmpty else { return 0 }
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }
}
