import Foundation

/// Requests as h2load sends them: a file of length-prefixed messages.
struct RequestFile {
  let path: String

  /// `messages` messages of `bytes` bytes each, all the same; `count` asks `Expand` for so many.
  init(in folder: String, bytes: Int, count: Int = 0, messages: Int = 1) throws {
    let message = Self.message(bytes: bytes, count: count)
    var framed = Data([0])
    withUnsafeBytes(of: UInt32(message.count).bigEndian) { framed.append(contentsOf: $0) }
    framed += message
    var all = Data(capacity: framed.count * messages)
    for _ in 0..<messages { all += framed }
    path = "\(folder)/request-\(bytes)-\(count)-\(messages).bin"
    try all.write(to: URL(filePath: path))
  }

  /// Bytes of the payload of a message that has `bytes` bytes in all.
  static func payloadBytes(_ bytes: Int) -> Int {
    var payload = bytes - 2
    while 1 + varint(payload).count + payload > bytes { payload -= 1 }
    return payload
  }

  private static func message(bytes: Int, count: Int) -> Data {
    let payload = payloadBytes(bytes)
    var message = Data([0x0a]) + varint(payload) + Data(repeating: 0x61, count: payload)
    if count > 0 { message += Data([0x10]) + varint(count) }
    return message
  }

  private static func varint(_ value: Int) -> Data {
    var (rest, bytes) = (value, Data())
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
    return bytes
  }
}

/// What a load generator saw.
struct LoadResult {
  var calls = 0.0
  var seconds = 0.0
  /// Of a call.
  var meanMicroseconds = 0.0
  var p50Microseconds = 0.0
  var p99Microseconds = 0.0
}

/// The load generator of nghttp2.
enum H2Load {
  /// How long to load.
  enum Extent {
    case seconds(Int)
    case calls(Int)
  }

  static func run(
    _ server: RunningServer,
    method: String,
    _ request: RequestFile,
    _ shape: Shape,
    _ extent: Extent,
    log: String? = nil
  ) throws -> LoadResult {
    var arguments = [
      "-t1", "-c\(shape.connections)", "-m\(shape.streams)", "-w24", "-W24",
      "-H", "content-type: application/grpc", "-H", "te: trailers", "-d", request.path,
    ]
    switch extent {
    case .seconds(let seconds): arguments += ["-D", String(seconds)]
    case .calls(let calls): arguments += ["-n", String(calls)]
    }
    if let log {
      try? FileManager.default.removeItem(atPath: log)
      arguments += ["--log-file", log]
    }
    let scheme = server.isTLS ? "https" : "http"
    arguments.append("\(scheme)://127.0.0.1:\(server.port)/llmos.bench.Echo/\(method)")
    let lines = try Shell.run("/usr/bin/env", ["h2load"] + arguments)
    var result = LoadResult()
    for line in lines {
      let words = line.split(whereSeparator: { $0.isWhitespace || $0 == "," })
      if line.hasPrefix("finished in"), words.count > 2 {
        result.seconds = duration(words[2]) / 1e6
      } else if line.hasPrefix("requests:"), words.count > 13 {
        // requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout
        result.calls = Double(words[7]) ?? 0
        guard words[9] == "0" || words[9] == words[11] else {
          throw RPCBenchError("h2load: \(line)")
        }
      } else if line.hasPrefix("time for request:"), words.count > 5 {
        result.meanMicroseconds = duration(words[5])
      }
    }
    guard result.calls > 0, result.seconds > 0 else {
      throw RPCBenchError("h2load printed no calls: \(lines.joined(separator: " | "))")
    }
    if let log {
      let times = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
        .compactMap { $0.split(separator: "\t").last.flatMap { Double($0) } }.sorted()
      if !times.isEmpty {
        result.p50Microseconds = times[times.count / 2]
        result.p99Microseconds = times[times.count * 99 / 100]
      }
    }
    return result
  }

  /// Microseconds of what h2load prints as `1.20s`, `13.5ms` or `38us`.
  private static func duration(_ text: some StringProtocol) -> Double {
    for (unit, factor) in [("us", 1.0), ("ms", 1e3), ("s", 1e6)] where text.hasSuffix(unit) {
      return (Double(text.dropLast(unit.count)) ?? 0) * factor
    }
    return 0
  }
}

extension Contender {
  /// Loads a server with this contender's own client.
  func load(
    _ server: RunningServer,
    payloadBytes: Int,
    _ shape: Shape,
    seconds: Int,
    _ certificate: Certificate?
  ) throws -> LoadResult {
    var arguments = [
      "load", String(server.port), String(shape.connections), String(shape.streams),
      String(payloadBytes), String(seconds),
    ]
    if let certificate { arguments.append(certificate.certificate) }
    let words = try Shell.run(executable, arguments).last?.split(separator: " ") ?? []
    guard words.count == 10 else { throw RPCBenchError("\(executable) load: printed \(words)") }
    let values = stride(from: 1, to: 10, by: 2).compactMap { Double(words[$0]) }
    guard values.count == 5 else { throw RPCBenchError("\(executable) load: printed \(words)") }
    return LoadResult(
      calls: values[0],
      seconds: values[1],
      meanMicroseconds: values[4],
      p50Microseconds: values[2],
      p99Microseconds: values[3]
    )
  }
}
