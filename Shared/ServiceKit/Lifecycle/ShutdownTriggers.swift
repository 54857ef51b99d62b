import Dispatch
import Foundation
import Synchronization
import UnixSignals

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What makes a process shut down, and what keeps a shutdown from taking for ever.
final class ShutdownTriggers: Sendable {
  /// Why the process shuts down, in words; set by the first trigger.
  let reason = OneShot<String>()
  /// Set when `watchSignals` has taken over the signals.
  let signalsAreWatched = OneShot<Void>()
  private let isOver = Atomic(false)

  /// Waits for SIGTERM and SIGINT until cancelled.
  ///
  /// The first signal starts the shutdown; the second ends the process at once, after `cleanUp`,
  /// with code 128 + signal.
  func watchSignals(cleanUp: @Sendable () -> Void) async {
    var isFirst = true
    let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
    signalsAreWatched.succeed(())
    for await signal in signals {
      guard isFirst else {
        cleanUp()
        _exit(128 + (signal == .sigint ? SIGINT : SIGTERM))
      }
      isFirst = false
      reason.succeed(signal == .sigint ? "SIGINT" : "SIGTERM")
    }
  }

  /// Starts the shutdown when standard input ends.
  ///
  /// A pipe whose other end only the supervisor holds ends however the supervisor dies. The thread
  /// waits in `read` for as long as the process lives.
  func watchStandardInput() {
    let reason = reason
    Thread.detachNewThread {
      var buffer = [UInt8](repeating: 0, count: 256)
      while true {
        let count = read(STDIN_FILENO, &buffer, buffer.count)
        if count > 0 || (count < 0 && (errno == EINTR || errno == EAGAIN)) {
          // A non-blocking descriptor would spin; wait until it has something to say.
          var poller = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
          _ = poll(&poller, 1, -1)
          continue
        }
        reason.succeed("standard input ended")
        return
      }
    }
  }

  /// Ends the process with code 1 if it still runs after `limit`: whatever hangs in a shutdown, the
  /// process does not.
  func startWatchdog(limit: Duration, onExpiry: @escaping @Sendable () -> Void) {
    // Not a task: a hang may hold every thread that runs tasks.
    DispatchQueue.global().asyncAfter(deadline: .now() + limit.inSeconds) { [self] in
      guard !isOver.load(ordering: .relaxed) else { return }
      onExpiry()
      _exit(1)
    }
  }

  /// Ends the watch: the shutdown is through.
  func stopWatchdog() {
    isOver.store(true, ordering: .relaxed)
  }
}
