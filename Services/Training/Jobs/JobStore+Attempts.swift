import Databases
import GRDB
package import WorkerProtocol

/// The life of a job: every change of its state is one of these transactions.
extension JobStore {
  /// What is next in the queue.
  package enum Next: Sendable, Equatable {
    /// This job can start.
    case ready(Job)
    /// None can start before this time.
    case waiting(untilMilliseconds: Int64)
    /// The queue is empty.
    case empty
  }

  /// How an attempt ended, as its supervisor saw it.
  package enum AttemptEnd: Sendable, Equatable {
    /// The result is registered.
    case succeeded(WorkerEvent.Finished, reports: [String])
    /// The worker crashed or gave up; `isPermanent` if another attempt would end the same way.
    case failed(String, isPermanent: Bool)
    /// The worker was told to stop for the job's owner.
    case cancelled
    /// The service stopped.
    case interrupted(String)
    /// The machine or another service failed the worker; not the job's fault.
    case unavailable(String)
  }

  /// The first job of the queue that may start.
  package func next() async throws(JobStoreError) -> Next {
    let now = now()
    return try await database.read("read queue") { database in
      let row = try Row.fetchOne(
        database,
        sql: """
          SELECT * FROM job WHERE state = 'queued' AND not_before_ms <= ? ORDER BY number LIMIT 1
          """,
        arguments: [now]
      )
      if let row { return .ready(try Self.job(database, row)) }
      let time = try Int64.fetchOne(
        database,
        sql: "SELECT min(not_before_ms) FROM job WHERE state = 'queued'"
      )
      return time.map { .waiting(untilMilliseconds: $0) } ?? .empty
    }
  }

  /// Starts a queued job's next attempt and returns the job with it as the last of its attempts.
  ///
  /// - Throws: `failedPrecondition` if the job is not queued any more.
  package func startAttempt(of id: String) async throws(JobStoreError) -> Job {
    let now = now()
    let job = try await database.write("start \(id)") { database in
      let job = try Self.job(database, id)
      let number = (job.attempts.last?.number ?? 0) + 1
      try Self.move(database, job, to: .running, message: "", attempt: number, at: now)
      try database.execute(
        sql: "UPDATE job SET started_at_ms = ifnull(started_at_ms, ?) WHERE id = ?",
        arguments: [now, id]
      )
      try database.execute(
        sql:
          "INSERT INTO attempt (job, number, outcome, started_at_ms) VALUES (?, ?, 'running', ?)",
        arguments: [id, number, now]
      )
      return try Self.job(database, id)
    }
    tell(id, queue: false)
    tellStates()
    return job
  }

  /// Records how the running attempt ended and what follows from it.
  ///
  /// - Parameters:
  ///   - id: a running job.
  ///   - end: how its worker ended.
  ///   - delay: milliseconds until the next attempt, from the number of failures.
  ///   - hostDelay: milliseconds until the next attempt after one that was `unavailable`, from the number of attempts
  ///     in a row that were interrupted.
  /// - Returns: the job, with its new state.
  /// - Throws: `failedPrecondition` if the job does not run.
  @discardableResult
  package func endAttempt(
    of id: String,
    _ end: AttemptEnd,
    delay: @escaping @Sendable (Int) -> Int64,
    hostDelay: @escaping @Sendable (Int) -> Int64
  ) async throws(JobStoreError) -> Job {
    let (limits, now) = (limits, now())
    let job = try await database.write("end \(id)") { database in
      let delays = Delays(failure: delay, host: hostDelay)
      try Self.endAttempt(database, of: id, end, delays, limits: limits, at: now)
      return try Self.job(database, id)
    }
    tell(id, queue: true)
    return job
  }

  /// Puts the jobs that ran when the last owner of the store ended back into the queue, and returns them.
  package func recover() async throws(JobStoreError) -> [Job] {
    let (limits, now) = (limits, now())
    defer { tellStates() }
    return try await database.write("recover jobs") { database in
      let ids = try String.fetchAll(
        database,
        sql: "SELECT id FROM job WHERE state = 'running' ORDER BY number"
      )
      let end = AttemptEnd.interrupted("the training service ended while the worker ran")
      return try ids.map { id in
        let delays = Delays(failure: { _ in 0 }, host: { _ in 0 })
        try Self.endAttempt(database, of: id, end, delays, limits: limits, at: now)
        return try Self.job(database, id)
      }
    }
  }

  /// Notes that a job is to end, at once if it is only queued; returns the job.
  ///
  /// One that has ended stays as it is.
  package func cancel(_ id: String) async throws(JobStoreError) -> Job {
    let now = now()
    let job = try await database.write("cancel \(id)") { database in
      let job = try Self.job(database, id)
      guard !job.state.isFinal else { return job }
      try database.execute(
        sql: "UPDATE job SET cancel_requested = 1 WHERE id = ?",
        arguments: [id]
      )
      if job.state == .queued {
        let attempt = job.attempts.last?.number ?? 0
        try Self.move(database, job, to: .cancelled, message: "", attempt: attempt, at: now)
      }
      return try Self.job(database, id)
    }
    tell(id, queue: true)
    return job
  }

  // MARK: - Statements

  /// Milliseconds until the next attempt.
  private struct Delays {
    let failure: (Int) -> Int64
    let host: (Int) -> Int64
  }

  private static func endAttempt(
    _ database: Database,
    of id: String,
    _ end: AttemptEnd,
    _ delays: Delays,
    limits: JobLimits,
    at now: Int64
  ) throws {
    let job = try job(database, id)
    guard job.state == .running, let attempt = job.attempts.last else {
      throw JobStoreError(.failedPrecondition, "end \(id): it does not run but is \(job.state)")
    }
    let message = end.message.cut(toBytes: end.messageBytesMax(limits))
    try database.execute(
      sql: """
        UPDATE attempt SET outcome = ?, ended_at_ms = ?, message = ? WHERE job = ? AND number = ?
        """,
      arguments: [end.outcome.rawValue, now, message, id, attempt.number]
    )
    try insertEvent(
      database,
      .attemptEnded(end.outcome, message: message),
      of: id,
      attempt: attempt.number,
      at: now
    )
    let (next, reason) = try follow(database, job, end, message, delays, limits, at: now)
    try move(database, job, to: next, message: reason, attempt: attempt.number, at: now)
  }

  /// What becomes of a job whose attempt has ended.
  private static func follow(
    _ database: Database,
    _ job: Job,
    _ end: AttemptEnd,
    _ message: String,
    _ delays: Delays,
    _ limits: JobLimits,
    at now: Int64
  ) throws -> (JobState, String) {
    switch end {
    case .succeeded(let result, let reports):
      try database.execute(
        sql: "UPDATE job SET result_model = ?, metrics = ?, reports = ? WHERE id = ?",
        arguments: [result.model, try text(result.metrics), try text(reports), job.id]
      )
      return (.succeeded, "")
    case .cancelled: return (.cancelled, "")
    case _ where job.isCancelRequested: return (.cancelled, "")
    case .failed(_, isPermanent: true): return (.failed, message)
    case .failed:
      let failures = job.failures + 1
      try database.execute(
        sql: "UPDATE job SET failures = ?, not_before_ms = ? WHERE id = ?",
        arguments: [failures, now + delays.failure(failures), job.id]
      )
      guard failures > limits.restartsMax else { return (.queued, message) }
      return (.failed, "\(message) (after \(limits.restartsMax) restarts)")
    case .interrupted, .unavailable:
      if case .unavailable = end {
        // The one that ends now is still noted as running here.
        let row = 1 + job.attempts.dropLast().reversed().prefix { $0.outcome == .interrupted }.count
        try database.execute(
          sql: "UPDATE job SET not_before_ms = ? WHERE id = ?",
          arguments: [now + delays.host(row), job.id]
        )
      }
      guard job.attempts.count < limits.attemptsMax else {
        return (.failed, "\(message) (after \(limits.attemptsMax) attempts)")
      }
      return (.queued, message)
    }
  }

  /// Changes a job's state: the only place that does.
  private static func move(
    _ database: Database,
    _ job: Job,
    to state: JobState,
    message: String,
    attempt: UInt32,
    at now: Int64
  ) throws {
    guard job.state.canBecome(state) else {
      throw JobStoreError(
        .failedPrecondition,
        "\(job.id) is \(job.state) and cannot become \(state)"
      )
    }
    try database.execute(
      sql: """
        UPDATE job SET state = ?, error = ?, ended_at_ms = ? WHERE id = ?
        """,
      arguments: [
        state.rawValue, state == .failed ? message : "", state.isFinal ? now : nil, job.id,
      ]
    )
    try insertEvent(
      database,
      .state(state, message: message),
      of: job.id,
      attempt: attempt,
      at: now
    )
  }
}

extension JobStore.AttemptEnd {
  /// The outcome that is recorded.
  package var outcome: AttemptOutcome {
    switch self {
    case .succeeded: .succeeded
    case .failed: .failed
    case .cancelled: .cancelled
    case .interrupted, .unavailable: .interrupted
    }
  }

  /// Why, for people.
  package var message: String {
    switch self {
    case .succeeded, .cancelled: ""
    case .failed(let message, _), .interrupted(let message), .unavailable(let message): message
    }
  }

  /// Bytes of the message that are kept.
  fileprivate func messageBytesMax(_ limits: JobLimits) -> Int {
    if case .unavailable = self { limits.hostMessageBytesMax } else { limits.messageBytesMax }
  }
}

extension String {
  /// The text, or as many of its first characters as have room, with a mark that the rest is missing.
  func cut(toBytes bytesMax: Int) -> String {
    guard utf8.count > bytesMax else { return self }
    var text = ""
    var room = bytesMax - "…".utf8.count
    for character in self {
      room -= character.utf8.count
      guard room >= 0 else { break }
      text.append(character)
    }
    return text + "…"
  }
}
