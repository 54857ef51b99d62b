import Databases
import Dispatch
import Files
import GRDB
import Synchronization
package import WorkerProtocol

/// The jobs of a training service: their states, attempts, events and figures, in SQLite.
///
/// One process owns a store; its functions may be called from any task at any time. Every change is one
/// transaction, so a process that is killed leaves the state before it or after it; `recover` then puts the jobs
/// that were running back into the queue.
package final class JobStore: Sendable {
  let database: StoreDatabase<JobStoreError>
  /// The named bounds.
  package let limits: JobLimits
  let now: @Sendable () -> Int64
  let broadcast = ChangeBroadcast()
  private let lock: Mutex<FileLock<JobStoreError>?>

  /// The key under which changes of the queue are told: a job was created, ended, or is to be cancelled.
  private static let queueKey = ""
  /// The key under which changes of any job's state are told.
  private static let statesKey = "*"

  /// Opens or creates the store; blocks on file work.
  ///
  /// - Parameters:
  ///   - path: the database's file, in a folder that exists.
  ///   - limits: the named bounds.
  ///   - now: milliseconds since 1970-01-01 UTC.
  /// - Throws: `dataLoss` if the file is damaged, `failedPrecondition` if it is of a newer release, or if another
  ///   process owns the store.
  package init(
    path: String,
    limits: JobLimits = JobLimits(),
    now: @escaping @Sendable () -> Int64 = WallClock.milliseconds
  ) throws(JobStoreError) {
    guard let lock = try FileLock<JobStoreError>.acquire("\(path).lock") else {
      throw JobStoreError(
        .failedPrecondition,
        "open the jobs: another process owns the store (\(path).lock is locked)"
      )
    }
    self.lock = Mutex(lock)
    database = try StoreDatabase(
      path: path,
      label: "llmos.jobs",
      migrations: JobSchema.migrations,
      busyMilliseconds: limits.databaseBusyMillisecondsMax
    )
    self.limits = limits
    self.now = now
  }

  /// As the initializer, on a thread where blocking is fine.
  package static func open(
    path: String,
    limits: JobLimits = JobLimits()
  ) async throws(JobStoreError) -> JobStore {
    let result: Result<JobStore, JobStoreError> = await withCheckedContinuation { continuation in
      DispatchQueue(label: "llmos.jobs.open").async {
        continuation.resume(
          returning: Result { () throws(JobStoreError) in try JobStore(path: path, limits: limits) }
        )
      }
    }
    return try result.get()
  }

  /// Closes the database; later use throws.
  package func close() throws(JobStoreError) {
    try database.close()
    lock.withLock { $0 = nil }
  }

  /// Yields after each change of a job; end the iteration to give the place back.
  package func changes(of id: String) -> AsyncStream<Void> { broadcast.changes(of: id) }

  /// Yields when the queue may have changed.
  package func queueChanges() -> AsyncStream<Void> { broadcast.changes(of: Self.queueKey) }

  /// Makes `queueChanges` yield.
  package func wakeQueue() { broadcast.tell(Self.queueKey) }

  /// Yields when a job was created or its state has changed.
  package func stateChanges() -> AsyncStream<Void> { broadcast.changes(of: Self.statesKey) }

  /// Tells the readers of `stateChanges`.
  func tellStates() { broadcast.tell(Self.statesKey) }

  /// The store's time: milliseconds since 1970-01-01 UTC.
  package var time: Int64 { now() }

  /// Tells the readers of a job, and of the queue.
  func tell(_ id: String, queue: Bool) {
    broadcast.tell(id)
    guard queue else { return }
    broadcast.tell(Self.queueKey)
    tellStates()
  }

  // MARK: - Creation

  /// A job that was created, or found by its key.
  package struct Creation: Sendable {
    /// The job.
    package var job: Job
    /// Whether this call created it.
    package var isNew: Bool
    /// Jobs that were forgotten to make room; their folders can go.
    package var forgotten: [String]
  }

  /// The job that a key was used for, nil if none was.
  ///
  /// - Parameters:
  ///   - key: chosen by the creator.
  ///   - request: the request in a canonical spelling.
  /// - Returns: the job.
  /// - Throws: `alreadyExists` if the key belongs to another request.
  package func job(withKey key: String, request: String) async throws(JobStoreError) -> Job? {
    try await database.read("find job") { database in
      try Self.job(database, withKey: key, request: request)
    }
  }

  /// Puts a job at the end of the queue.
  ///
  /// - Parameters:
  ///   - specification: what is to be trained, with its names pinned.
  ///   - key: chosen by the creator; nil: none.
  ///   - request: the request in a canonical spelling; the same key with the same spelling is the same job.
  /// - Returns: the job, an earlier one if the key was used for the same request.
  /// - Throws: `alreadyExists`, or `resourceExhausted` if the queue is full.
  package func create(
    _ specification: JobSpecification,
    key: String?,
    request: String
  ) async throws(JobStoreError) -> Creation {
    let (limits, now) = (limits, now())
    let creation = try await database.write("create job") { database in
      if let key, let job = try Self.job(database, withKey: key, request: request) {
        return Creation(job: job, isNew: false, forgotten: [])
      }
      let open = try Int.fetchOne(
        database,
        sql: "SELECT count(*) FROM job WHERE state IN ('queued', 'running')"
      )
      guard let open, open < limits.openJobsMax else {
        throw JobStoreError(
          .resourceExhausted,
          "create job: \(limits.openJobsMax) jobs wait or run already (openJobsMax)"
        )
      }
      let forgotten = try Self.forgetOldest(database, keeping: limits.jobsMax - 1)
      let id = try Self.freshID(database)
      try database.execute(
        sql: """
          INSERT INTO job
            (id, idempotency_key, request, specification, model, state, created_at_ms, progress)
          VALUES (?, ?, ?, ?, ?, 'queued', ?, ?)
          """,
        arguments: [
          id, key, request, try Self.text(specification), specification.model, now,
          try Self.text(JobProgress()),
        ]
      )
      try Self.insertEvent(database, .state(.queued, message: ""), of: id, attempt: 0, at: now)
      return Creation(job: try Self.job(database, id), isNew: true, forgotten: forgotten)
    }
    if creation.isNew { tell(creation.job.id, queue: true) }
    return creation
  }

  private static func job(
    _ database: Database,
    withKey key: String,
    request: String
  ) throws -> Job? {
    let row = try Row.fetchOne(
      database,
      sql: "SELECT * FROM job WHERE idempotency_key = ?",
      arguments: [key]
    )
    guard let row else { return nil }
    let earlier: String = row["request"]
    guard earlier == request else {
      let id: String = row["id"]
      throw JobStoreError(
        .alreadyExists,
        "create job: the idempotency key was used for another request, \(id)"
      )
    }
    return try job(database, row)
  }

  private static func freshID(_ database: Database) throws -> String {
    let attemptsMax = 8
    for _ in 0..<attemptsMax {
      let digits = String(UInt64.random(in: 0..<(1 << 40)), radix: 16)
      let id = "job-" + String(repeating: "0", count: 10 - digits.count) + digits
      let taken = try Int.fetchOne(
        database,
        sql: "SELECT count(*) FROM job WHERE id = ?",
        arguments: [id]
      )
      if taken == 0 { return id }
    }
    throw JobStoreError(.internalFailure, "create job: no free id after \(attemptsMax) tries")
  }

  private static func forgetOldest(_ database: Database, keeping count: Int) throws -> [String] {
    let ids = try String.fetchAll(
      database,
      sql: """
        SELECT id FROM job WHERE state IN ('succeeded', 'failed', 'cancelled') ORDER BY number
        LIMIT max(0, (SELECT count(*) FROM job) - ?)
        """,
      arguments: [count]
    )
    for id in ids {
      try database.execute(sql: "DELETE FROM job WHERE id = ?", arguments: [id])
    }
    return ids
  }

  // MARK: - Reading

  /// A job; throws `notFound`.
  package func job(_ id: String) async throws(JobStoreError) -> Job {
    try await database.read("get job") { try Self.job($0, id) }
  }

  /// How many queued jobs were created before a job.
  package func queuePosition(of job: Job) async throws(JobStoreError) -> Int {
    let number = job.number
    return try await database.read("count queue") { database in
      try Int.fetchOne(
        database,
        sql: "SELECT count(*) FROM job WHERE state = 'queued' AND number < ?",
        arguments: [number]
      ) ?? 0
    }
  }

  /// How many jobs are in each state.
  package func counts() async throws(JobStoreError) -> [JobState: Int] {
    try await database.read("count jobs") { database in
      var counts: [JobState: Int] = [:]
      for row in try Row.fetchAll(
        database,
        sql: "SELECT state, count(*) AS jobs FROM job GROUP BY state"
      ) {
        if let state = JobState(rawValue: row["state"]) { counts[state] = row["jobs"] }
      }
      return counts
    }
  }

  /// The ids of all jobs.
  package func ids() async throws(JobStoreError) -> Set<String> {
    try await database.read("list ids") { try String.fetchSet($0, sql: "SELECT id FROM job") }
  }

  /// The ids of the jobs that have not ended.
  package func openIDs() async throws(JobStoreError) -> Set<String> {
    try await database.read("list ids") { database in
      try String.fetchSet(
        database,
        sql: "SELECT id FROM job WHERE state IN ('queued', 'running')"
      )
    }
  }

  /// Jobs, the newest first.
  ///
  /// - Parameters:
  ///   - states: empty: all.
  ///   - model: the result's name; nil: all.
  ///   - count: at least 1, cut to `pageSizeMax`.
  ///   - number: only jobs created before the one with this number; nil: from the newest.
  /// - Returns: at most `count` jobs.
  /// - Throws: if the database fails.
  package func jobs(
    in states: Set<JobState> = [],
    model: String? = nil,
    count: Int,
    before number: Int64? = nil
  ) async throws(JobStoreError) -> [Job] {
    let count = max(1, min(count, limits.pageSizeMax))
    return try await database.read("list jobs") { database in
      var conditions = ["number < ?"]
      var arguments: StatementArguments = [number ?? .max]
      if !states.isEmpty {
        let marks = states.map { _ in "?" }.joined(separator: ", ")
        conditions.append("state IN (\(marks))")
        arguments += StatementArguments(states.map(\.rawValue))
      }
      if let model {
        conditions.append("model = ?")
        arguments += [model]
      }
      return try Row.fetchAll(
        database,
        sql: """
          SELECT * FROM job WHERE \(conditions.joined(separator: " AND "))
          ORDER BY number DESC LIMIT \(count)
          """,
        arguments: arguments
      ).map { try Self.job(database, $0) }
    }
  }
}
