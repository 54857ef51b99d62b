import GRDB
import WorkerProtocol

/// How jobs and events lie in rows.
extension JobStore {
  /// A job; throws `notFound`.
  static func job(_ database: Database, _ id: String) throws -> Job {
    let row = try Row.fetchOne(database, sql: "SELECT * FROM job WHERE id = ?", arguments: [id])
    guard let row else { throw JobStoreError(.notFound, "there is no job \(id.prefix(64))") }
    return try job(database, row)
  }

  /// The job of a row, with its attempts.
  static func job(_ database: Database, _ row: Row) throws -> Job {
    let id: String = row["id"]
    let attempts = try Row.fetchAll(
      database,
      sql: "SELECT * FROM attempt WHERE job = ? ORDER BY number",
      arguments: [id]
    )
    guard let state = JobState(rawValue: row["state"]) else {
      throw JobStoreError(.dataLoss, "read \(id): its state is not known")
    }
    return Job(
      id: id,
      number: row["number"],
      specification: try value(row, "specification"),
      state: state,
      error: row["error"],
      isCancelRequested: row["cancel_requested"],
      createdAtMilliseconds: row["created_at_ms"],
      startedAtMilliseconds: row["started_at_ms"],
      endedAtMilliseconds: row["ended_at_ms"],
      notBeforeMilliseconds: row["not_before_ms"],
      failures: row["failures"],
      attempts: attempts.map { row in
        Attempt(
          number: row["number"],
          outcome: AttemptOutcome(rawValue: row["outcome"]) ?? .failed,
          startedAtMilliseconds: row["started_at_ms"],
          endedAtMilliseconds: row["ended_at_ms"],
          message: row["message"]
        )
      },
      progress: try value(row, "progress"),
      resultModel: row["result_model"],
      metrics: try value(row, "metrics"),
      reports: try value(row, "reports"),
      cursor: UInt64(clamping: row["cursor"] as Int64),
      idempotencyKey: row["idempotency_key"]
    )
  }

  /// A value as it is kept in a column.
  static func text(_ value: some Encodable) throws -> String {
    String(decoding: try WorkerJSON.encode(value), as: UTF8.self)
  }

  /// The value of a column.
  static func value<Value: Decodable>(_ row: Row, _ column: String) throws -> Value {
    let text: String = row[column]
    do {
      return try WorkerJSON.decode(Value.self, from: text.utf8)
    } catch {
      throw JobStoreError(.dataLoss, "read job: column \(column) is damaged", cause: error)
    }
  }

  // MARK: - Events

  /// Adds an event with the job's next cursor.
  static func insertEvent(
    _ database: Database,
    _ body: JobEvent.Body,
    of id: String,
    attempt: UInt32,
    at time: Int64
  ) throws {
    try database.execute(sql: "UPDATE job SET cursor = cursor + 1 WHERE id = ?", arguments: [id])
    let text: String
    switch body {
    case .worker(let event): text = try Self.text(event)
    case .state(let state, let message):
      text = try Self.text(Reason(what: state.rawValue, message: message))
    case .attemptEnded(let outcome, let message):
      text = try Self.text(Reason(what: outcome.rawValue, message: message))
    }
    try database.execute(
      sql: """
        INSERT INTO event
        VALUES (?, (SELECT cursor FROM job WHERE id = ?), ?, ?, ?, ?)
        """,
      arguments: [id, id, time, attempt, body.kind.rawValue, text]
    )
  }

  /// The event of a row.
  static func event(_ row: Row) throws -> JobEvent {
    let body: JobEvent.Body
    switch JobEvent.Kind(rawValue: row["kind"]) {
    case .step, .noise, .worker: body = .worker(try value(row, "body"))
    case .state:
      let reason: Reason = try value(row, "body")
      guard let state = JobState(rawValue: reason.what) else { throw unknown(row) }
      body = .state(state, message: reason.message)
    case .attemptEnded:
      let reason: Reason = try value(row, "body")
      guard let outcome = AttemptOutcome(rawValue: reason.what) else { throw unknown(row) }
      body = .attemptEnded(outcome, message: reason.message)
    case nil: throw unknown(row)
    }
    return JobEvent(
      cursor: UInt64(clamping: row["cursor"] as Int64),
      timeMilliseconds: row["time_ms"],
      attempt: row["attempt"],
      body: body
    )
  }

  private static func unknown(_ row: Row) -> JobStoreError {
    let cursor: Int64 = row["cursor"]
    return JobStoreError(.dataLoss, "read events: event \(cursor) is of a kind that is not known")
  }

  /// A state or an outcome with its reason, as it is kept.
  private struct Reason: Codable {
    var what: String
    var message: String
  }
}

extension JobEvent {
  /// How an event is kept: how long, and in what form.
  enum Kind: String {
    /// A step.
    case step
    /// A checkpoint or a line of the log.
    case noise
    /// Another event of the worker.
    case worker
    /// A state.
    case state
    /// An outcome.
    case attemptEnded = "attempt_ended"
  }
}

extension JobEvent.Body {
  /// How the event is kept.
  var kind: JobEvent.Kind {
    switch self {
    case .worker(.step): .step
    case .worker(.checkpoint), .worker(.log): .noise
    case .worker: .worker
    case .state: .state
    case .attemptEnded: .attemptEnded
    }
  }
}
