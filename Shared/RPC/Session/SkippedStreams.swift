/// The client's streams that were never used, because it opened a higher one before them.
///
/// A stream must be above all that its side has opened (RFC 9113, 5.1.1). nghttp2 ignores HEADERS
/// below, as it cannot tell a stream that was never opened from one whose trailers cross with our
/// reset. This can: clients number without gaps, so that the gaps are few and all of them known.
struct SkippedStreams {
  /// Gaps that are remembered; HEADERS within an older one are ignored.
  private static let gapsMax = 16

  private var highest: Int32 = -1
  private var gaps: [ClosedRange<Int32>] = []

  /// Notes HEADERS on a client's stream; returns false when the client had skipped it.
  mutating func receivedHeaders(_ stream: Int32) -> Bool {
    // nghttp2 ends the connection for a stream that is not the client's.
    guard stream & 1 == 1 else { return true }
    guard stream > highest else {
      return gaps.isEmpty || !gaps.contains { $0.contains(stream) }
    }
    if stream > highest + 2 {
      if gaps.count == Self.gapsMax { gaps.removeFirst() }
      gaps.append(highest + 2...stream - 2)
    }
    highest = stream
    return true
  }
}
