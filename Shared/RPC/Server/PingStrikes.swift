/// The server's account of a client's PINGs (gRPC's doc/keepalive.md, "Server Enforcement"; gRFC A8).
///
/// A PING that comes too early after the one before is a strike; what the server sends in between
/// (HEADERS or DATA) forgives every strike and frees the next PING, because clients measure
/// bandwidth with PINGs when data arrives. More strikes than allowed end the connection.
struct PingStrikes {
  /// What a client may do.
  ///
  /// Times in nanoseconds.
  struct Limits: Sendable, Equatable {
    /// The least time between two PINGs while calls run, or at all times when `withoutCalls`.
    var interval: UInt64 = 300_000_000_000
    /// Whether PINGs are as welcome without calls as with them.
    var withoutCalls = false
    /// Strikes that are forgiven; the next one ends the connection.
    var strikesMax = 2
  }

  /// The debug data of the GOAWAY, by which clients know to ask less often.
  static let debugData = "too_many_pings"
  /// The least time between two PINGs of a client without calls that may not send any: two hours,
  /// as TCP's keepalive.
  static let idleInterval: UInt64 = 7_200_000_000_000

  private let limits: Limits
  private var last: UInt64?
  private(set) var strikes = 0

  init(_ limits: Limits) {
    self.limits = limits
  }

  /// Notes that HEADERS or DATA were sent.
  mutating func sentData() {
    last = nil
    strikes = 0
  }

  /// Notes a PING that was received `now`; returns whether the connection may go on.
  mutating func ping(at now: UInt64, hasCalls: Bool) -> Bool {
    defer { last = now }
    guard let last else { return true }
    let least =
      hasCalls || limits.withoutCalls ? limits.interval : max(limits.interval, Self.idleInterval)
    if now < last &+ least { strikes += 1 }
    return strikes <= limits.strikesMax
  }
}
