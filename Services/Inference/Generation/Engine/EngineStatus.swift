internal import Synchronization

/// What an engine is doing, and has done since it started.
package struct EngineStatus: Sendable, Equatable {
  /// Sequences being generated, those included that wait for their reader.
  package var running = 0
  /// Bytes of KV caches that the running sequences have reserved.
  package var cacheBytesReserved = 0
  /// Requests in the queue.
  package var waiting = 0
  /// Prompt tokens run.
  package var promptTokens = 0
  /// Tokens generated.
  package var generatedTokens = 0
  /// Forward passes, of one sequence each.
  package var steps = 0
  /// Generations that ended with an end-of-sequence token or a stop text.
  package var finishedByStop = 0
  /// Generations that ended with `maxTokens` or the end of the context.
  package var finishedByLength = 0
  /// Generations whose reader went away, those included that were still waiting.
  package var cancelled = 0
  /// Generations that ended with an error.
  package var failed = 0
  /// Requests refused because the queue was full.
  package var refused = 0
}

/// Counts what engines do; engines that come one after the other may share it, so that its counts never fall.
///
/// Safe to use from any thread.
package final class EngineCounters: Sendable {
  private let status = Mutex(EngineStatus())
  /// Told what engines measure, on their threads: it must be quick.
  let observe: @Sendable (EngineObservation) -> Void

  /// Counts from zero; `observe` is told what engines measure, on their threads, and must be quick.
  package init(observe: @escaping @Sendable (EngineObservation) -> Void = { _ in }) {
    self.observe = observe
  }

  /// The counts; `waiting` is not among them.
  package var value: EngineStatus { status.withLock { $0 } }

  func count(_ change: (inout EngineStatus) -> Void) { status.withLock { change(&$0) } }
}
