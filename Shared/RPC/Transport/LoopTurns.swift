import NIOCore
import NIOPosix

/// Lets an event loop see to its sockets and timers while there is work that would hold it for long: a stream that
/// is written as fast as its client reads, handlers that wake each other for ever.
///
/// NIO looks at its sockets only when no task is left that is due. Work that goes on is therefore done in turns, all
/// that there is of one loop, and between two turns lies a moment in which nothing is due.
///
/// `@unchecked Sendable`: used on `eventLoop` alone.
final class LoopTurns: @unchecked Sendable {
  /// How long one piece of work may go on, and a whole turn before it ends with the piece that runs.
  static let workMax = TimeAmount.milliseconds(2)
  /// The moment between two turns: long enough not to be over when NIO asks what is due next.
  private static let pause = TimeAmount.microseconds(50)

  private static let current = ThreadSpecificVariable<LoopTurns>()

  private let eventLoop: any EventLoop
  private var waiting = CircularBuffer<() -> Void>()
  private var isScheduled = false

  private init(_ eventLoop: any EventLoop) {
    self.eventLoop = eventLoop
  }

  /// Those of a loop; to be asked on it.
  static func of(_ eventLoop: any EventLoop) -> LoopTurns {
    eventLoop.assertInEventLoop()
    if let turns = current.currentValue, turns.eventLoop === eventLoop { return turns }
    let turns = LoopTurns(eventLoop)
    current.currentValue = turns
    return turns
  }

  /// Does `work` in the next turn; it comes back for the rest if it takes longer than `workMax`.
  func later(_ work: @escaping () -> Void) {
    waiting.append(work)
    schedule()
  }

  private func schedule() {
    guard !isScheduled else { return }
    isScheduled = true
    eventLoop.scheduleTask(in: Self.pause) { self.run() }
  }

  private func run() {
    let end = eventLoop.now + Self.workMax
    // What comes back goes behind what waits, and not into this turn.
    for _ in 0..<waiting.count {
      guard let work = waiting.popFirst() else { break }
      work()
      if eventLoop.now > end { break }
    }
    isScheduled = false
    if !waiting.isEmpty { schedule() }
  }
}
