/// How many WINDOW_UPDATE frames a peer may send (as Envoy's
/// `max_inbound_window_update_frames_per_data_frame_sent`): in proportion to the DATA it got and the
/// streams it opened, since it has windows to update for these alone.
struct WindowUpdateAccount {
  /// Updates that each DATA frame sent allows.
  private static let perDataFrame = 10
  /// Updates that each stream allows.
  private static let perStream = 5

  /// Updates that are allowed now.
  private var left: Int
  /// The most that are ever allowed ahead.
  private let most: Int

  init(burst: Int) {
    left = burst
    most = burst
  }

  /// A DATA frame was sent.
  mutating func sentData() {
    left = min(most, left + Self.perDataFrame)
  }

  /// The peer opened a stream.
  mutating func opened() {
    left = min(most, left + Self.perStream)
  }

  /// An update came; returns whether it was allowed.
  mutating func received() -> Bool {
    left -= 1
    return left >= 0
  }
}
