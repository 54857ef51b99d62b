import Databases
import GRDB
package import WorkerProtocol

/// Events and figures of jobs; both are bounded.
extension JobStore {
  /// Adds what the worker of a job's running attempt told.
  ///
  /// Steps that were told before, by an attempt that was restarted from a checkpoint, take the place of the former.
  ///
  /// - Throws: `failedPrecondition` if the attempt does not run.
  package func append(
    _ events: [WorkerEvent],
    to id: String,
    attempt: UInt32
  ) async throws(JobStoreError) {
    guard !events.isEmpty else { return }
    let (limits, now) = (limits, now())
    try await database.writeRelaxed("append to \(id)") { database in
      let job = try Self.job(database, id)
      guard job.state == .running, job.attempts.last?.number == attempt else {
        throw JobStoreError(.failedPrecondition, "append to \(id): attempt \(attempt) does not run")
      }
      var progress = job.progress
      var cursor = job.cursor
      for event in events {
        var event = event
        if case .log(var log) = event {
          log.message = log.message.cut(toBytes: limits.messageBytesMax)
          event = .log(log)
        }
        try Self.insertEvent(database, .worker(event), of: id, attempt: attempt, at: now)
        try Self.record(database, event, of: id, in: &progress, limits: limits, at: now)
        cursor += 1
        if cursor.isMultiple(of: JobLimits.trimInterval) {
          try Self.trimEvents(database, of: id, cursor: cursor, limits: limits)
        }
      }
      try database.execute(
        sql: "UPDATE job SET progress = ? WHERE id = ?",
        arguments: [try Self.text(progress), id]
      )
    }
    tell(id, queue: false)
  }

  /// Events of a job after a cursor, by cursor.
  ///
  /// - Parameters:
  ///   - id: the job.
  ///   - cursor: the last event already seen; 0: none.
  ///   - count: the most events to return.
  /// - Returns: the events, and the job's state when they were read.
  /// - Throws: `notFound`.
  package func events(
    of id: String,
    after cursor: UInt64,
    count: Int
  ) async throws(JobStoreError) -> (events: [JobEvent], state: JobState) {
    try await database.read("read events of \(id)") { database in
      let job = try Self.job(database, id)
      let rows = try Row.fetchAll(
        database,
        sql: "SELECT * FROM event WHERE job = ? AND cursor > ? ORDER BY cursor LIMIT ?",
        arguments: [id, Int64(clamping: cursor), count]
      )
      return (try rows.map(Self.event), job.state)
    }
  }

  /// The figures of a job, by name; each series is thinned to `pointsMax` points, the first and the last among them.
  ///
  /// - Parameters:
  ///   - id: the job.
  ///   - names: those wanted; empty: all.
  ///   - pointsMax: at least 2.
  /// - Returns: the series by name.
  /// - Throws: `notFound`.
  package func series(
    of id: String,
    names: Set<String> = [],
    pointsMax: Int
  ) async throws(JobStoreError) -> [MetricSeries] {
    precondition(pointsMax >= 2, "a series needs room for its first and last point")
    return try await database.read("read figures of \(id)") { database in
      _ = try Self.job(database, id)
      var series: [MetricSeries] = []
      for (name, column) in Self.stepColumns where names.isEmpty || names.contains(name) {
        let rows = try Row.fetchAll(
          database,
          sql: """
            SELECT step, \(column) AS value FROM step_metric
            WHERE job = ? AND \(column) IS NOT NULL ORDER BY step
            """,
          arguments: [id]
        )
        if !rows.isEmpty { series.append(Self.series(rows, id, name, pointsMax)) }
      }
      let evaluations = try String.fetchAll(
        database,
        sql: "SELECT DISTINCT name FROM evaluation_metric WHERE job = ? ORDER BY name",
        arguments: [id]
      )
      for name in evaluations where names.isEmpty || names.contains(name) {
        let rows = try Row.fetchAll(
          database,
          sql: """
            SELECT step, value FROM evaluation_metric
            WHERE job = ? AND name = ? AND value IS NOT NULL ORDER BY step
            """,
          arguments: [id, name]
        )
        if !rows.isEmpty { series.append(Self.series(rows, id, name, pointsMax)) }
      }
      return series.sorted { $0.name < $1.name }
    }
  }

  private static let stepColumns = [
    ("train.loss", "loss"), ("train.learning_rate", "learning_rate"),
    ("train.gradient_norm", "gradient_norm"), ("train.tokens_per_second", "tokens_per_second"),
  ]

  private static func series(
    _ rows: [Row],
    _ id: String,
    _ name: String,
    _ pointsMax: Int
  ) -> MetricSeries {
    let kept: [Int]
    if rows.count <= pointsMax {
      kept = Array(rows.indices)
    } else {
      kept = (0..<pointsMax).map { $0 * (rows.count - 1) / (pointsMax - 1) }
    }
    return MetricSeries(
      job: id,
      name: name,
      steps: kept.map { UInt64(clamping: rows[$0]["step"] as Int64) },
      values: kept.map { rows[$0]["value"] }
    )
  }

  // MARK: - Statements

  private static func record(
    _ database: Database,
    _ event: WorkerEvent,
    of id: String,
    in progress: inout JobProgress,
    limits: JobLimits,
    at now: Int64
  ) throws {
    switch event {
    case .prepared(let prepared):
      progress.rows = prepared.rows
      progress.tokens = prepared.tokens
      progress.steps = prepared.steps
      progress.memoryBytes = prepared.memoryBytes
      progress.firstStepAtMilliseconds = 0
    case .step(let step):
      if progress.firstStepAtMilliseconds == 0 {
        progress.firstStepAtMilliseconds = now
        progress.firstStep = step.step
      }
      progress.step = step.step
      progress.epoch = step.epoch
      progress.loss = step.loss
      progress.learningRate = step.learningRate
      progress.tokensPerSecond = step.tokensPerSecond
      progress.lastStepAtMilliseconds = now
      try insertStep(database, step, of: id, limits: limits)
    case .evaluation(let evaluation):
      try insertEvaluation(database, evaluation, of: id, limits: limits)
    case .checkpoint, .log, .finished, .failed: break
    }
  }

  private static func insertStep(
    _ database: Database,
    _ step: WorkerEvent.Step,
    of id: String,
    limits: JobLimits
  ) throws {
    // SQLite keeps a figure that is not a number as NULL, which no series shows.
    try database.execute(
      sql: "INSERT OR REPLACE INTO step_metric VALUES (?, ?, ?, ?, ?, ?)",
      arguments: [
        id, Int64(clamping: step.step), step.loss, step.learningRate, step.gradientNorm,
        step.tokensPerSecond,
      ]
    )
    guard step.step.isMultiple(of: JobLimits.trimInterval) else { return }
    let count = "SELECT count(*) FROM step_metric WHERE job = ?"
    guard let points = try Int.fetchOne(database, sql: count, arguments: [id]),
      points > limits.stepPointsMax
    else { return }
    try database.execute(
      sql: "UPDATE job SET step_stride = step_stride * 2 WHERE id = ?",
      arguments: [id]
    )
    try database.execute(
      sql: """
        DELETE FROM step_metric
        WHERE job = ? AND step % (SELECT step_stride FROM job WHERE id = ?) != 0
        """,
      arguments: [id, id]
    )
  }

  private static func insertEvaluation(
    _ database: Database,
    _ evaluation: WorkerEvent.Evaluation,
    of id: String,
    limits: JobLimits
  ) throws {
    let known = try Int.fetchOne(
      database,
      sql: "SELECT count(DISTINCT name) FROM evaluation_metric WHERE job = ?",
      arguments: [id]
    )
    var room = limits.seriesMax - (known ?? 0)
    for (metric, value) in evaluation.metrics.sorted(by: { $0.key < $1.key }) {
      let name = "\(evaluation.split).\(metric)"
      let points = try Int.fetchOne(
        database,
        sql: "SELECT count(*) FROM evaluation_metric WHERE job = ? AND name = ?",
        arguments: [id, name]
      )
      guard let points, points < limits.evaluationPointsMax else { continue }
      if points == 0 {
        guard room > 0 else { continue }
        room -= 1
      }
      try database.execute(
        sql: "INSERT OR REPLACE INTO evaluation_metric VALUES (?, ?, ?, ?)",
        arguments: [id, name, Int64(clamping: evaluation.step), value]
      )
    }
  }

  private static func trimEvents(
    _ database: Database,
    of id: String,
    cursor: UInt64,
    limits: JobLimits
  ) throws {
    if cursor > limits.noisyEventsMax {
      try database.execute(
        sql: "DELETE FROM event WHERE job = ? AND cursor <= ? AND kind IN ('step', 'noise')",
        arguments: [id, Int64(clamping: cursor - limits.noisyEventsMax)]
      )
    }
    try database.execute(
      sql: """
        DELETE FROM event WHERE job = ? AND cursor <= (
          SELECT cursor FROM event WHERE job = ? ORDER BY cursor DESC LIMIT 1 OFFSET ?
        )
        """,
      arguments: [id, id, limits.eventsMax]
    )
  }
}
