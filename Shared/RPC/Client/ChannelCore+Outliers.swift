import Logging
import NIOCore

/// Endpoints that fail more than others, and get no calls for a while (gRFC A50).
extension ChannelCore {
  /// Ends one interval after the other, as long as the channel is open.
  func watchOutliers() {
    guard let interval = detector?.interval else { return }
    detectorTimer = eventLoop.scheduleTask(in: TimeAmount(max(interval, .milliseconds(1)))) {
      guard !self.isClosed else { return }
      let now = self.eventLoop.now
      let changes = self.detector?.intervalEnded(at: now, &self.random) ?? []
      for change in changes {
        self.table.set(change.id, ejected: change.isEjected)
        self.policy.changed(change.id, self.table)
        guard let endpoint = self.table[id: change.id]?.endpoint else { continue }
        self.configuration.logger.info(
          change.isEjected ? "endpoint ejected" : "endpoint taken back",
          metadata: ["server": "\(endpoint)"]
        )
      }
      if !changes.isEmpty { self.act() }
      self.watchOutliers()
    }
  }

  /// An attempt on an endpoint ended with success or failure.
  func note(_ subchannel: Subchannel, isSuccess: Bool) {
    detector?.record(subchannel.id, isSuccess: isSuccess)
  }
}
