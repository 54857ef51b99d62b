import Logging
import NIOCore

/// Asks the server of a subchannel whether it serves, as long as it is connected (gRFC A17).
///
/// Until the first answer no call goes there; a server without the health service counts as one that
/// serves.
///
/// `@unchecked Sendable`: the variables are used on the channel's loop alone.
final class HealthWatch: @unchecked Sendable {
  private static let method = MethodDescriptor(
    service: "grpc.health.v1.Health",
    method: "Watch",
    kind: .serverStreaming
  )
  /// The waits before a watch that ended is begun anew.
  private static let backoff = (initial: Duration.seconds(1), max: Duration.seconds(120))

  /// What the channel makes of the server's answers: `connecting` before the first one.
  private(set) var state = ConnectivityState.connecting

  private let subchannel: Subchannel
  private let service: String
  private var task: Task<Void, Never>?
  private var isStopped = false

  init(_ subchannel: Subchannel, service: String) {
    self.subchannel = subchannel
    self.service = service
  }

  /// Begins to ask, on the loop.
  func start() {
    task = Task { await self.run() }
  }

  /// Asks no more, and tells nothing any more; on the loop.
  func stop() {
    isStopped = true
    task?.cancel()
    task = nil
  }

  private func run() async {
    let core = subchannel.core
    var backoff = Backoff(initial: Self.backoff.initial, max: Self.backoff.max)
    while !Task.isCancelled {
      var hasAnswered = false
      do throws(RPCError) {
        try await ask(&hasAnswered)
      } catch {
        guard error.code != .unimplemented else {
          core.configuration.logger.warning(
            "the server has no health service: taken as serving",
            metadata: ["server": "\(subchannel.endpoint)"]
          )
          return report(.ready)
        }
      }
      // What the server said last counts until it is asked anew.
      if hasAnswered {
        backoff.reset()
        continue
      }
      report(.transientFailure)
      let delay = backoff.delay(core.configuration.random)
      try? await Task.sleep(for: .nanoseconds(delay.nanoseconds))
    }
  }

  /// One call, until the server ends it: reports what it answers.
  private func ask(_ hasAnswered: inout Bool) async throws(RPCError) {
    let call = try ClientCall(
      core: subchannel.core,
      method: Self.method,
      options: CallOptions(),
      pinnedTo: subchannel
    )
    // It still runs when an answer makes no sense.
    defer { call.cancel() }
    call.outbox.stage(try MessageFraming.frame(HealthRequest(service: service)))
    call.outbox.end()
    call.start()
    while let bytes = try await call.inbox.next(for: call) {
      report(try HealthReply(response: bytes).isServing ? .ready : .transientFailure)
      hasAnswered = true
    }
  }

  private func report(_ state: ConnectivityState) {
    subchannel.eventLoop.execute {
      guard !self.isStopped, self.state != state else { return }
      self.state = state
      self.subchannel.core.healthChanged(self.subchannel)
    }
  }
}

/// `grpc.health.v1.HealthCheckRequest`.
struct HealthRequest: RPCMessage {
  let service: String

  init(service: String) {
    self.service = service
  }

  init(serialized bytes: UnsafeRawBufferPointer) throws(RPCError) {
    throw RPCError(.unimplemented, "a health request is not read here")
  }

  func serialize(into output: inout [UInt8]) throws(RPCError) {
    let text = Array(service.utf8)
    guard !text.isEmpty else { return }
    output.append(0x0a)
    var length = text.count
    while length > 0x7f {
      output.append(UInt8(length & 0x7f) | 0x80)
      length >>= 7
    }
    output.append(UInt8(length))
    output.append(contentsOf: text)
  }
}

/// `grpc.health.v1.HealthCheckResponse`: its field 1, an enum in which 1 is SERVING.
struct HealthReply: RPCMessage {
  private(set) var isServing = false

  init(serialized bytes: UnsafeRawBufferPointer) throws(RPCError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let tag = try Self.varint(&rest)
      switch tag & 7 {
      case 0:
        let value = try Self.varint(&rest)
        if tag >> 3 == 1 { isServing = value == 1 }
      case 1: try Self.skip(8, &rest)
      case 2: try Self.skip(Self.varint(&rest), &rest)
      case 5: try Self.skip(4, &rest)
      default: throw Self.malformed
      }
    }
  }

  func serialize(into output: inout [UInt8]) throws(RPCError) {
    output += isServing ? [0x08, 1] : [0x08, 2]
  }

  private static let malformed = RPCError(.invalidArgument, "health response: malformed")

  private static func varint(
    _ bytes: inout Slice<UnsafeRawBufferPointer>
  ) throws(RPCError) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = bytes.popFirst() else { throw malformed }
      value |= UInt64(byte & 0x7f) << shift
      if byte & 0x80 == 0 { return value }
    }
    throw malformed
  }

  private static func skip(
    _ count: UInt64,
    _ bytes: inout Slice<UnsafeRawBufferPointer>
  ) throws(RPCError) {
    guard count <= UInt64(bytes.count) else { throw malformed }
    bytes = bytes.dropFirst(Int(count))
  }
}
