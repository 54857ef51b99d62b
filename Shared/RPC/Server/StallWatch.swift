import NIOCore

/// Whether a peer takes too long over something that it owes: reading what was sent, ending a
/// header block.
///
/// A state machine without timers: `check` is asked again and again while something may be owed.
struct StallWatch {
  /// The longest time without progress; nil for any.
  private let bound: TimeAmount?
  private var stalled: (since: NIODeadline, progress: UInt64)?

  init(_ bound: TimeAmount?) {
    self.bound = bound
  }

  /// Whether the peer owes something at the moment, as of the last check.
  var isWaiting: Bool { stalled != nil }

  /// Notes whether something is owed, and how far it has come; returns whether the time is up.
  mutating func check(isOwed: Bool, progress: UInt64, at now: NIODeadline) -> Bool {
    guard let bound, isOwed else {
      stalled = nil
      return false
    }
    guard let since = stalled?.since, stalled?.progress == progress else {
      stalled = (now, progress)
      return false
    }
    return since + bound <= now
  }
}

/// The streams of a connection whose client takes nothing of what waits for it.
///
/// One that is stalled costs its call alone: behind a proxy's connection are the calls of others.
struct StreamStalls {
  private let bound: TimeAmount?
  /// As many as streams that wait.
  private var watches: [Int32: StallWatch] = [:]

  init(_ bound: TimeAmount?) {
    self.bound = bound
  }

  /// Takes every stream on which bytes wait, with how many it sent so far; returns those whose time
  /// is up.
  mutating func check(_ waiting: [Int32: UInt64], at now: NIODeadline) -> [Int32] {
    var stalled: [Int32] = []
    watches = watches.filter { waiting[$0.key] != nil }
    for (stream, sent) in waiting
    where watches[stream, default: StallWatch(bound)].check(
      isOwed: true,
      progress: sent,
      at: now
    ) {
      stalled.append(stream)
    }
    return stalled.sorted()
  }
}
