/// What a worker process is started with: the file that is its one argument.
package struct WorkerSpecification: Sendable, Equatable, Codable {
  /// The job's id, under which the result is registered once.
  package var job: String
  /// The attempt's number, from 1.
  package var attempt: UInt32
  /// What is to be trained.
  package var specification: JobSpecification
  /// The job's folder: absolute; its own, from one attempt to the next.
  package var folder: String
  /// Threads of the mathematics.
  package var threads: Int
  /// The memory the worker may plan for.
  package var memoryBytesMax: UInt64
  /// `host:port` of the data-management service.
  package var dataAddress: String

  /// See the properties.
  package init(
    job: String,
    attempt: UInt32,
    specification: JobSpecification,
    folder: String,
    threads: Int,
    memoryBytesMax: UInt64,
    dataAddress: String
  ) {
    self.job = job
    self.attempt = attempt
    self.specification = specification
    self.folder = folder
    self.threads = threads
    self.memoryBytesMax = memoryBytesMax
    self.dataAddress = dataAddress
  }

  /// Where checkpoints and the finished model lie.
  package var workFolder: String { "\(folder)/work" }
  /// Where the reports of a finished job lie.
  package var reportsFolder: String { "\(folder)/reports" }
  /// Held locked by the worker, so that two never work on one job.
  package var lockFile: String { "\(folder)/worker.lock" }

  /// The specification's file in a job's folder.
  package static func path(inFolder folder: String) -> String { "\(folder)/worker.json" }
}
