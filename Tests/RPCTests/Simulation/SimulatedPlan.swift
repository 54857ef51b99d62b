import NIOCore
import RPC

/// What one call of a simulation does, on both sides.
struct SimulatedPlan {
  let id: Int
  let method: MethodDescriptor
  /// The wait before it begins.
  let start: TimeAmount
  /// Bytes of each request and response.
  let requests: [Int]
  let responses: [Int]
  let timeout: Duration?
  let readyTimeout: Duration?
  /// When the caller's task is cancelled, after its start.
  let cancelAfter: TimeAmount?
  /// After how many responses the caller drops the stream.
  let dropAfter: Int?
  /// The pauses of the caller and of the handler between two messages.
  let callerPause: TimeAmount?
  let handlerPause: TimeAmount?
  /// How long the handler waits first.
  let handlerDelay: TimeAmount?
  /// How many requests the handler reads before it ends; nil: all.
  let handlerReads: Int?
  /// The status that the handler ends with.
  let status: StatusCode
  /// Whether the handler works on for a while when it is cancelled.
  let isStubborn: Bool
  let isCompressed: Bool
  /// Bytes of metadata, sent both ways.
  let metadataBytes: Int

  init(_ id: Int, _ world: SimulatedWorld) {
    func sizes(_ isOne: Bool) -> [Int] {
      let count = isOne ? 1 : world.number(in: 0...(world.chance(0.1) ? 60 : 6))
      return (0..<count).map { _ in Self.size(world) }
    }
    func pause(_ probability: Double, _ most: Int64) -> TimeAmount? {
      world.chance(probability) ? .microseconds(world.number(in: 1...most)) : nil
    }
    self.id = id
    method = world.pick(Self.methods)
    start = .microseconds(world.chance(0.3) ? 0 : world.number(in: 0...3_000_000))
    requests = sizes(method.kind == .unary || method.kind == .serverStreaming)
    responses = sizes(method.kind == .unary || method.kind == .clientStreaming)
    timeout = world.chance(0.3) ? .microseconds(world.number(in: 500...3_000_000)) : nil
    readyTimeout = world.chance(0.3) ? .milliseconds(world.number(in: 1...10_000)) : nil
    cancelAfter = pause(0.15, 1_000_000)
    dropAfter = world.chance(0.1) ? world.number(in: 0...3) : nil
    callerPause = pause(0.2, 300_000)
    handlerPause = pause(0.2, 300_000)
    handlerDelay = pause(0.4, 1_000_000)
    handlerReads = world.chance(0.15) ? world.number(in: 0...2) : nil
    status = world.chance(0.15) ? world.pick(Self.statuses) : .ok
    isStubborn = world.chance(0.05)
    isCompressed = world.chance(0.2)
    metadataBytes = world.chance(0.2) ? world.number(in: 1...3_000) : 0
  }

  static let methods = [
    EchoMethods.unary, EchoMethods.expand, EchoMethods.collect, EchoMethods.chat,
  ]
  private static let statuses: [StatusCode] = [
    .notFound, .dataLoss, .aborted, .permissionDenied, .unauthenticated,
  ]

  private static func size(_ world: SimulatedWorld) -> Int {
    switch world.number(in: 0...19) {
    case 0...12: world.number(in: 0...200)
    case 13...17: world.number(in: 0...20_000)
    default: world.number(in: 10_000...200_000)
    }
  }

  /// A request (or response) of the call, told apart from every other.
  func message(_ index: Int, isResponse: Bool) -> Bytes {
    let count = isResponse ? responses[index] : requests[index]
    let first = UInt8(truncatingIfNeeded: id &* 7 &+ index &* 3 &+ (isResponse ? 100 : 0)) & 0x7f
    var bytes = [UInt8](repeating: first, count: count)
    for position in stride(from: 1, to: count, by: 61) {
      bytes[position] = UInt8(truncatingIfNeeded: position &+ id)
    }
    return Bytes(bytes)
  }

  var metadata: Metadata {
    var metadata = Metadata()
    metadata.add("\(id)", for: "x-call")
    if metadataBytes > 0 {
      metadata.add(
        [UInt8](repeating: UInt8(truncatingIfNeeded: id), count: metadataBytes),
        for: "x-bin"
      )
    }
    return metadata
  }
}
