/// How jobs are run on this machine.
package struct SupervisionOptions: Sendable {
  /// The worker's executable.
  package var worker: String
  /// The folder of the jobs' folders: absolute.
  package var folder: String
  /// Jobs that run at once.
  package var jobsMax: Int
  /// Threads of each job.
  package var threads: Int
  /// Memory each job may plan for.
  package var memoryBytesMax: UInt64
  /// `host:port` of the data-management service.
  package var dataAddress: String
  /// How long a worker may take to stop before it is killed.
  package var stopGrace: Duration = .seconds(10)
  /// The wait before the next attempt, from the number of failures: 1, 4, 16 s.
  package var restartDelay: @Sendable (_ failures: Int) -> Duration = { failures in
    .seconds(1 << min(2 * (failures - 1), 6))
  }

  /// The wait before the machine, or the store, is tried again, from the number of its failures in a row: 1, 2, 4 s up
  /// to a minute.
  package var hostDelay: @Sendable (_ failures: Int) -> Duration = { failures in
    .seconds(min(60, 1 << min(failures - 1, 6)))
  }

  /// Options; see the properties.
  package init(
    worker: String,
    folder: String,
    jobsMax: Int,
    threads: Int,
    memoryBytesMax: UInt64,
    dataAddress: String
  ) {
    self.worker = worker
    self.folder = folder
    self.jobsMax = jobsMax
    self.threads = threads
    self.memoryBytesMax = memoryBytesMax
    self.dataAddress = dataAddress
  }
}

/// Something that a supervisor's owner may want to log.
package enum SupervisionNotice: Sendable {
  /// A job was found running although no service was, and waits for another attempt.
  case recovered(job: String)
  /// A worker was started.
  case started(job: String, attempt: UInt32)
  /// A worker ended; the job's state follows from it. Reported once for each that was started, with an empty state if
  /// the end could not be stored.
  case ended(job: String, attempt: UInt32, outcome: String, state: String, message: String)
  /// Something failed that does not end the job.
  case trouble(job: String, message: String)
  /// The queue could not be read or changed; it is tried again after a while.
  case stalled(message: String)
}
