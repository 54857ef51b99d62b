import RPC
import Synchronization

/// The service that foreign clients call: what it does depends on the request's text, as in
/// `Tests/Interop/rpc/grpcio_server.py`.
final class InteropState: Sendable {
  private let waiting = Counter()
  private let cancellations = Counter()
  private let written = Counter()
  private let drained = Signal()
  /// Shuts the server down.
  let onDrain = Mutex<(@Sendable () async -> Void)?>(nil)

  var service: EchoService {
    var service = EchoService()
    service.unary = { try await self.unary($0, $1) }
    service.expand = { try await self.expand($0, $2) }
    service.collect = { requests, _ in
      var all: [UInt8] = []
      for try await request in requests {
        if request == "early" { return request }
        all += request.bytes
      }
      return Bytes(all)
    }
    return service
  }

  private func unary(_ request: Bytes, _ context: ServerContext) async throws -> Bytes {
    guard request.bytes.count < 1000 else { return request }
    let words = request.text.split(separator: " ", maxSplits: 2)
    switch (words.first, words.dropFirst().first) {
    case ("metadata", _):
      context.setInitialMetadata(context.metadata)
      context.setTrailingMetadata(context.metadata)
      return request
    case ("status", let code?):
      throw RPCError(StatusCode(rawValue: Int(code) ?? 0) ?? .ok, String(words[2]))
    case ("flaky", let attempt?):
      let previous = Int(context.metadata.first("grpc-previous-rpc-attempts") ?? "0") ?? 0
      if previous < Int(attempt) ?? 0 {
        if words.count > 2 {
          var pushback = Metadata()
          pushback.add(String(words[2]), for: "grpc-retry-pushback-ms")
          context.setTrailingMetadata(pushback)
        }
        throw RPCError(.unavailable, "attempt \(previous)")
      }
      return Bytes("\(previous)")
    case ("wait", _):
      waiting.increment()
      try await waitForEnd()
    case ("cancellations", _): return Bytes("\(cancellations.value)")
    case ("await", "waiting"):
      let bound = cancellations.value
      return Bytes("\(await waiting.wait(above: min(bound, waiting.value - 1)))")
    case ("await", "cancellation"):
      return Bytes("\(await cancellations.wait(above: Int(words[2]) ?? 0))")
    case ("deadline", _):
      guard let left = context.deadline?.remaining else { return "none" }
      return Bytes("\(left / .seconds(1))")
    case ("written", _): return Bytes("\(written.value)")
    case ("drain", _):
      let drain = onDrain.withLock { $0 }
      Task { await drain?() }
      drained.set()
    default: break
    }
    return request
  }

  private func expand(_ request: Bytes, _ responses: ResponseWriter<Bytes>) async throws {
    switch request.text {
    case "fail":
      try await responses.write("f")
      throw RPCError(.dataLoss, "the rest is lost")
    case "forever":
      try await responses.write("first")
      try await waitForEnd()
    case "many":
      for _ in 0..<1000 {
        try await responses.write(Bytes([UInt8](repeating: 0, count: 16 * 1024)))
        written.increment()
      }
    case "until drained":
      try await responses.write("started")
      await drained.wait()
      try await responses.write("finished")
    default:
      for byte in request.bytes { try await responses.write(Bytes([byte])) }
    }
  }

  private func waitForEnd() async throws {
    await waitForCancellation(Signal())
    cancellations.increment()
    throw CancellationError()
  }
}
