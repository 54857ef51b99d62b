/// The bounds of the store; each has a name, so that an error can say which one was met.
package struct JobLimits: Sendable {
  /// Jobs that wait or run; a further one is refused.
  package var openJobsMax = 1_000
  /// Jobs that are kept; beyond, the oldest that have ended are forgotten.
  package var jobsMax = 10_000
  /// Restarts of a job whose worker failed.
  package var restartsMax = 3
  /// Attempts of one job, those that were interrupted among them.
  package var attemptsMax = 1_000
  /// The newest events of a job among which steps, checkpoints and log lines are kept.
  package var noisyEventsMax: UInt64 = 4_096
  /// Events of a job that are kept at all.
  package var eventsMax = 8_192
  /// Steps whose figures are kept; beyond, every second one, every fourth one and so on.
  package var stepPointsMax = 10_000
  /// Names of evaluation metrics of one job; further ones are not kept.
  package var seriesMax = 1_000
  /// Evaluations of one job whose metrics are kept.
  package var evaluationPointsMax = 4_096
  /// Jobs of one page.
  package var pageSizeMax = 200
  /// UTF-8 bytes of a message that is kept; the rest is cut off.
  package var messageBytesMax = 4_096
  /// UTF-8 bytes that are kept of why the machine failed an attempt: there may be many of those.
  package var hostMessageBytesMax = 256
  /// Milliseconds a statement waits for a lock on the database.
  package var databaseBusyMillisecondsMax = 5_000

  /// How often, in steps or events, the two bounds of histories are enforced.
  static let trimInterval: UInt64 = 256

  /// The defaults.
  package init() {}
}
