import NIOCore

/// Attempts that wait: here for an endpoint, and in subchannels for a stream.
extension ChannelCore {
  /// Lets an attempt wait for an endpoint.
  func enqueue(_ attempt: ClientAttempt) {
    if mayQueue(attempt) { waiting.append(attempt) }
  }

  /// Counts an attempt that is about to wait; fails its call, and returns false, above the bound.
  func mayQueue(_ attempt: ClientAttempt) -> Bool {
    if queuedCount >= configuration.maxQueuedCalls, endedCount > 0 { purge() }
    guard queuedCount < configuration.maxQueuedCalls else {
      attempt.call.fail(
        RPCError(.resourceExhausted, "\(queuedCount) calls wait for \(target) already")
      )
      return false
    }
    queuedCount += 1
    attempt.isQueued = true
    return true
  }

  /// An attempt that waits is over.
  func queuedEnded() {
    endedCount += 1
  }

  /// An attempt left its queue.
  func dequeued(_ attempt: ClientAttempt) {
    attempt.isQueued = false
    queuedCount -= 1
    if attempt.isOver { endedCount -= 1 }
  }

  /// Forgets attempts that are over.
  func purge() {
    waiting = living(waiting)
    for subchannel in subchannels.values { subchannel.purge() }
    assert(endedCount == 0, "an attempt that is over stands in no queue")
  }

  /// Those of a queue that are not over.
  func living(_ queue: CircularBuffer<ClientAttempt>) -> CircularBuffer<ClientAttempt> {
    for attempt in queue where attempt.isOver { dequeued(attempt) }
    return CircularBuffer(queue.filter { !$0.isOver })
  }

  /// Has every attempt that waits looked at again.
  func admitWaiting() {
    guard !waiting.isEmpty else { return }
    let attempts = waiting
    waiting = CircularBuffer()
    for attempt in attempts { dequeued(attempt) }
    for attempt in attempts where !attempt.isOver { admit(attempt) }
  }
}
