import Logging
import NIOCore

/// What a client owes, watched by one timer that runs only while something is owed.
extension ServerConnection {
  func halfRequestsChanged(by change: Int) {
    halfRequests += change
  }

  /// Bytes that the socket has taken so far; clients that read little at a time come forward, too.
  private var takenBytes: UInt64 {
    let held = try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)
    return writtenBytes &- UInt64(held ?? 0)
  }

  private var sample: ConnectionGuards.Sample {
    ConnectionGuards.Sample(
      openHeaderBlock: session.openHeaderBlock,
      isSocketFull: context?.channel.isWritable == false,
      takenBytes: takenBytes
    )
  }

  /// Watches the client while it owes something; most turns end with nothing owed.
  func startGuards() {
    guard guardTimer == nil else { return }
    let sample = sample
    guard
      halfRequests > 0 || session.heldBytes > 0 || sample.isSocketFull
        || sample.openHeaderBlock != nil
    else { return }
    _ = guards.check(sample, at: eventLoop.now)
    if session.heldBytes > 0 {
      _ = guards.stalledStreams(session.waitingStreams, at: eventLoop.now)
    }
    guardTimer = eventLoop.scheduleTask(in: guards.interval) {
      self.guardTimer = nil
      guard !self.isClosed, !self.hasEnded else { return }
      self.checkGuards()
    }
  }

  private func checkGuards() {
    let now = eventLoop.now
    if let reason = guards.check(sample, at: now) { return cut(reason: reason) }
    let stalled = guards.stalledStreams(session.waitingStreams, at: now)
    for stream in stalled { cutStream(stream) }
    if halfRequests > 0 {
      let start = now - TimeAmount(core.configuration.requestTimeout)
      for call in calls.values {
        call.expireRequest(begunBefore: start)
      }
      for (_, exchange) in plain.sorted(by: { $0.key < $1.key }) {
        exchange.expireRequest(begunBefore: start)
      }
    }
    startGuards()
  }

  /// Ends a stream whose client takes nothing of what waits.
  private func cutStream(_ stream: Int32) {
    core.logCut("stream cut", peer: remoteAddress, reason: Self.stalled.message, at: eventLoop.now)
    if let call = calls[stream] { call.fail(Self.stalled) }
    // The call may be over for the handler, with its last bytes still here.
    session.reset(stream, .enhanceYourCalm)
    setNeedsFlush()
  }

  private static let stalled = RPCError(
    .resourceExhausted,
    "the client does not take the responses that wait"
  )

  /// Ends the connection of a client that breaks a bound.
  private func cut(reason: String) {
    cutReason = reason
    session.terminate(.enhanceYourCalm, debug: reason)
    giveUp(reason: reason)
  }

  /// Tells the server's account what the connection's responses hold now.
  func countUnread(_ bytes: Int) {
    guard bytes != unreadBytesCounted else { return }
    core.unreadBytes.add(bytes - unreadBytesCounted)
    unreadBytesCounted = bytes
  }
}
