import JobStore
import Testing
import WorkerProtocol

@Suite struct HistoryTests {
  @Test func `What a worker tells is kept, by cursor, and its figures are the job's progress`()
    async throws
  {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    let job = try await store.createRunning()
    let events: [WorkerEvent] = [
      .prepared(.init(rows: 8, tokens: 80, steps: 40, memoryBytes: 9)), .step(1, loss: 3),
    ]
    try await store.append(events, to: job.id, attempt: 1)
    temporary.advance(by: 1_000)
    let more: [WorkerEvent] = [
      .step(11, loss: 2),
      .evaluation(.init(step: 11, epoch: 1, split: "dev", metrics: ["f1": 0.5])),
      .checkpoint(.init(step: 11)), .log(.init(level: .info, message: "hello")),
    ]
    try await store.append(more, to: job.id, attempt: 1)

    let kept = try await store.events(of: job.id, after: 2, count: 100)
    #expect(kept.state == .running)
    #expect(kept.events.map(\.cursor) == [3, 4, 5, 6, 7, 8])
    #expect(kept.events.map(\.body) == (events + more).map { .worker($0) })
    #expect(kept.events.map(\.attempt) == Array(repeating: 1, count: 6))
    #expect(try await store.events(of: job.id, after: 4, count: 2).events.map(\.cursor) == [5, 6])
    let progress = try await store.job(job.id).progress
    #expect(progress.step == 11)
    #expect(progress.steps == 40)
    #expect(progress.loss == 2)
    #expect(progress.remainingSeconds == 2.9)
    #expect(progress.memoryBytes == 9)
  }

  @Test func `Only the attempt that runs may add`() async throws {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    let job = try await store.createRunning()
    for attempt: UInt32 in [0, 2] {
      let error = try await failure {
        try await store.append([.step(1)], to: job.id, attempt: attempt)
      }
      #expect(error.code == .failedPrecondition)
    }
    _ = try await store.end(job, .cancelled)
    _ = try await failure { try await store.append([.step(1)], to: job.id, attempt: 1) }
  }

  @Test func `Steps told again after a restart take the place of the former`() async throws {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    var job = try await store.createRunning()
    try await store.append([.step(1, loss: 9), .step(2, loss: 8)], to: job.id, attempt: 1)
    _ = try await store.end(job, .interrupted(""))
    job = try await store.startAttempt(of: job.id)
    try await store.append([.step(2, loss: 7), .step(3, loss: 6)], to: job.id, attempt: 2)
    let series = try await store.series(of: job.id, names: ["train.loss"], pointsMax: 10)
    #expect(series.map(\.steps) == [[1, 2, 3]])
    #expect(series.map(\.values) == [[9, 7, 6]])
  }

  @Test func `Series are thinned to the points asked for, the first and last among them`()
    async throws
  {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    let job = try await store.createRunning()
    try await store.append(
      (1...100).map { .step($0, loss: $0 == 50 ? .nan : Double($0)) },
      to: job.id,
      attempt: 1
    )
    for step: UInt64 in [50, 100] {
      let evaluation = WorkerEvent.Evaluation(
        step: step,
        epoch: 1,
        split: "dev",
        metrics: ["f1": Double(step), "loss": 1]
      )
      try await store.append([.evaluation(evaluation)], to: job.id, attempt: 1)
    }
    let all = try await store.series(of: job.id, pointsMax: 1_000)
    #expect(
      all.map(\.name) == [
        "dev.f1", "dev.loss", "train.gradient_norm", "train.learning_rate", "train.loss",
        "train.tokens_per_second",
      ]
    )
    #expect(all[0].steps == [50, 100] && all[0].values == [50, 100])
    #expect(all[4].steps.count == 99)
    let thin = try await store.series(of: job.id, names: ["train.loss"], pointsMax: 5)
    #expect(thin.first?.steps == [1, 25, 50, 75, 100].map { $0 == 50 ? 51 : $0 })
  }

  @Test func `However long a job is, its events and figures are bounded`() async throws {
    let temporary = try TemporaryJobs()
    var limits = JobLimits()
    limits.noisyEventsMax = 300
    limits.eventsMax = 600
    limits.stepPointsMax = 500
    limits.messageBytesMax = 10
    let store = try temporary.open(limits)
    let job = try await store.createRunning()
    let evaluation = WorkerEvent.evaluation(.init(step: 1, epoch: 1, split: "d", metrics: [:]))
    try await store.append([evaluation], to: job.id, attempt: 1)
    for batch: UInt64 in 0..<40 {
      let steps = (1...100).map { WorkerEvent.step(batch * 100 + $0) }
      try await store.append(steps, to: job.id, attempt: 1)
    }
    let long = WorkerEvent.log(.init(level: .info, message: "0123456789abc"))
    try await store.append([long], to: job.id, attempt: 1)
    let events = try await store.allEvents(of: job)
    #expect(events.count <= 300 + 256 + 3)
    #expect(events.contains { $0.body == .worker(evaluation) })
    #expect(events.last?.body == .worker(.log(.init(level: .info, message: "0123456…"))))
    let series = try await store.series(of: job.id, names: ["train.loss"], pointsMax: 100_000)
    let steps = try #require(series.first?.steps)
    #expect(steps.count <= 500 + 256)
    #expect(steps.last == 4_000)
    for _ in 0..<3 {
      let many = Array(repeating: evaluation, count: 400)
      try await store.append(many, to: job.id, attempt: 1)
    }
    #expect(try await store.allEvents(of: job).count <= 600 + 256 + 1)
  }
}
