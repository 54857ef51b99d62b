import NIOCore
import NIOPosix
import Synchronization

/// Tells tests that something has happened: bytes came in, a service was asked, a request was
/// counted.
enum Events {
  private struct State {
    var count = 0
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private static let state = Mutex(State())

  /// How much has happened so far.
  static var count: Int { state.withLock { $0.count } }

  /// Something has happened; callable from any thread.
  static func post() {
    let waiters = state.withLock { state in
      state.count += 1
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Waits until something has happened since `count`.
  static func wait(after count: Int) async {
    await withCheckedContinuation { continuation in
      let isOver = state.withLock { state in
        if state.count == count { state.waiters.append(continuation) }
        return state.count != count
      }
      if isOver { continuation.resume() }
    }
  }
}

/// Waits until `condition` holds, looking at it after each event; a bound for a hang, not a measure
/// of speed.
func eventually(_ condition: @Sendable () -> Bool, line: Int = #line) async throws {
  let hang = TimeAmount.seconds(120)
  let end = NIODeadline.now() + hang
  let alarm = MultiThreadedEventLoopGroup.singleton.next().scheduleTask(in: hang) { Events.post() }
  defer { alarm.cancel() }
  while true {
    let count = Events.count
    if condition() { return }
    guard NIODeadline.now() < end else { throw Timeout(line: line) }
    await Events.wait(after: count)
  }
}

struct Timeout: Error { let line: Int }
