import NIOCore

/// What a client of one connection must not take too long over.
///
/// The connection asks `check` every `interval` while something is owed, and cuts the client for
/// the reason that it gets.
struct ConnectionGuards {
  /// The longest times; nil for any.
  struct Limits: Sendable {
    /// For a header block to be complete.
    var headers: TimeAmount?
    /// For the socket to take anything.
    var socket: TimeAmount?
    /// For the client to take anything of a stream's responses that wait.
    var responses: TimeAmount?
    /// For a call's single request to be complete.
    var request: TimeAmount?
  }

  /// What the connection looks like.
  struct Sample {
    /// Which header block is open, if one is, counted from the connection's first.
    var openHeaderBlock: UInt64?
    /// Whether the socket takes no more.
    var isSocketFull: Bool
    /// Bytes that the socket took so far.
    var takenBytes: UInt64
  }

  private static let shortest = TimeAmount.milliseconds(5)
  private static let longest = TimeAmount.seconds(5)

  /// The time between two checks: a fraction of the shortest bound, so that none is passed by much.
  let interval: TimeAmount
  private var headers: StallWatch
  private var socket: StallWatch
  private var streams: StreamStalls

  init(_ limits: Limits) {
    headers = StallWatch(limits.headers)
    socket = StallWatch(limits.socket)
    streams = StreamStalls(limits.responses)
    let bounds = [limits.headers, limits.socket, limits.responses, limits.request]
    let least = bounds.compactMap { $0 }.min() ?? Self.longest
    let part = TimeAmount.nanoseconds(least.nanoseconds / 4)
    interval = min(max(part, Self.shortest), Self.longest)
  }

  /// Why the client is to be cut, if it is.
  mutating func check(_ sample: Sample, at now: NIODeadline) -> String? {
    if headers.check(
      isOwed: sample.openHeaderBlock != nil,
      progress: sample.openHeaderBlock ?? 0,
      at: now
    ) {
      return "a header block is not complete in time"
    }
    if socket.check(isOwed: sample.isSocketFull, progress: sample.takenBytes, at: now) {
      return "the client does not read from its socket"
    }
    return nil
  }

  /// The streams that are to be ended, of those on which bytes wait, with how many each sent.
  mutating func stalledStreams(_ waiting: [Int32: UInt64], at now: NIODeadline) -> [Int32] {
    streams.check(waiting, at: now)
  }
}
