import JobStore
import Synchronization
import Testing
import WorkerProtocol

@Suite struct LifeTests {
  @Test func `States follow each other only as their machine says`() {
    for state in JobState.allCases {
      let next = Set(JobState.allCases.filter { state.canBecome($0) })
      switch state {
      case .queued: #expect(next == [.running, .cancelled])
      case .running: #expect(next == [.queued, .succeeded, .failed, .cancelled])
      case .succeeded, .failed, .cancelled: #expect(next.isEmpty && state.isFinal)
      }
    }
  }

  @Test func `A job runs and succeeds, and every change is an event`() async throws {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    let created = try await store.create()
    #expect(try await store.next() == .ready(created))
    temporary.advance(by: 5)
    let running = try await store.startAttempt(of: created.id)
    #expect(running.state == .running)
    #expect(running.startedAtMilliseconds == 1_005)
    #expect(running.attempts.map(\.outcome) == [.running])
    #expect(try await store.next() == .empty)
    let finished = WorkerEvent.Finished(model: "m@1", metrics: ["test.f1": 0.5])
    temporary.advance(by: 5)
    let job = try await store.end(running, .succeeded(finished, reports: ["report.txt"]))
    #expect(job.state == .succeeded)
    #expect(job.resultModel == "m@1")
    #expect(job.metrics == ["test.f1": 0.5])
    #expect(job.reports == ["report.txt"])
    #expect(job.endedAtMilliseconds == 1_010)
    #expect(job.attempts.first?.endedAtMilliseconds == 1_010)
    #expect(
      try await store.allEvents(of: job).map(\.body) == [
        .state(.queued, message: ""), .state(.running, message: ""),
        .attemptEnded(.succeeded, message: ""), .state(.succeeded, message: ""),
      ]
    )
    #expect(
      try await failure { _ = try await store.startAttempt(of: job.id) }.code
        == .failedPrecondition
    )
    #expect(
      try await failure { _ = try await store.end(job, .cancelled) }.code
        == .failedPrecondition
    )
    #expect(try await store.cancel(job.id).state == .succeeded)
  }

  @Test func `A failed attempt is followed by another after its delay, three times at most`()
    async throws
  {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    var job = try await store.createRunning()
    for failure in 1...3 {
      job = try await store.end(job, .failed("crash \(failure)", isPermanent: false))
      #expect(job.state == .queued)
      #expect(job.failures == failure)
      let delay = Int64(failure) * 100
      let time = temporary.time.withLock { $0 }
      #expect(try await store.next() == .waiting(untilMilliseconds: time + delay))
      temporary.advance(by: delay)
      job = try await store.startAttempt(of: job.id)
    }
    job = try await store.end(job, .failed("crash 4", isPermanent: false))
    #expect(job.state == .failed)
    #expect(job.error == "crash 4 (after 3 restarts)")
    #expect(job.attempts.map(\.number) == [1, 2, 3, 4])
    #expect(job.attempts.map(\.message) == (1...4).map { "crash \($0)" })
  }

  @Test func `What the machine did is not the job's failure, and is waited for longer each time`()
    async throws
  {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    var job = try await store.createRunning()
    func waits(_ delay: Int64) async throws {
      #expect(job.state == .queued)
      let time = temporary.time.withLock { $0 }
      #expect(try await store.next() == .waiting(untilMilliseconds: time + delay))
      temporary.advance(by: delay)
      job = try await store.startAttempt(of: job.id)
    }
    for number in 1...9 {
      job = try await store.end(job, .unavailable("no space"))
      #expect(job.failures == 0)
      try await waits(Int64(number) * 10)
    }
    job = try await store.end(job, .failed("crash", isPermanent: false))
    try await waits(100)
    let reason = String(repeating: "x", count: 5_000)
    job = try await store.end(job, .unavailable(reason))
    try await waits(10)
    #expect(job.failures == 1)
    #expect(job.attempts[10].outcome == .interrupted)
    #expect(job.attempts[10].message.utf8.count == JobLimits().hostMessageBytesMax)
    _ = try await store.cancel(job.id)
    #expect(try await store.end(job, .unavailable("no space")).state == .cancelled)
  }

  @Test func `A permanent failure is not tried again`() async throws {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    let job = try await store.createRunning()
    let ended = try await store.end(job, .failed("bad row 3", isPermanent: true))
    #expect(ended.state == .failed)
    #expect(ended.error == "bad row 3")
  }

  @Test func `Jobs of a service that died are queued again, before newer ones, without a failure`()
    async throws
  {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    var job = try await store.createRunning("first")
    let other = try await store.create("second")
    try store.close()
    for round in 1...6 {
      let again = try temporary.open()
      let recovered = try await again.recover()
      #expect(recovered.map(\.id) == [job.id])
      #expect(recovered.map(\.state) == [.queued])
      #expect(recovered.first?.failures == 0)
      #expect(recovered.first?.attempts.count == round)
      #expect(try await again.next() == .ready(recovered[0]))
      job = try await again.startAttempt(of: job.id)
      #expect(try await again.job(other.id) == other)
      try again.close()
    }
  }

  @Test func `A job that is interrupted without end fails`() async throws {
    let temporary = try TemporaryJobs()
    var limits = JobLimits()
    limits.attemptsMax = 2
    let store = try temporary.open(limits)
    var job = try await store.createRunning()
    job = try await store.end(job, .interrupted("stopped"))
    #expect(job.state == .queued)
    job = try await store.end(store.startAttempt(of: job.id), .interrupted("stopped"))
    #expect(job.state == .failed)
    #expect(job.error == "stopped (after 2 attempts)")
  }

  @Test func `A queued job is cancelled at once, a running one when its worker has ended`()
    async throws
  {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    let queued = try await store.cancel(store.create().id)
    #expect(queued.state == .cancelled)
    #expect(queued.endedAtMilliseconds != nil)

    for end in [
      JobStore.AttemptEnd.cancelled, .failed("killed", isPermanent: false), .interrupted("gone"),
    ] {
      let running = try await store.createRunning()
      let asked = try await store.cancel(running.id)
      #expect(asked.state == .running)
      #expect(asked.isCancelRequested)
      #expect(try await store.end(asked, end).state == .cancelled)
    }
    let running = try await store.createRunning()
    _ = try await store.cancel(running.id)
    #expect(try await store.recover().map(\.state) == [.cancelled])

    // The worker was faster: the model is registered.
    let fast = try await store.createRunning()
    _ = try await store.cancel(fast.id)
    let finished = WorkerEvent.Finished(model: "m@1", metrics: [:])
    #expect(try await store.end(fast, .succeeded(finished, reports: [])).state == .succeeded)
  }

  @Test func `Those who wait for a job, and for the queue, are told`() async throws {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    var queue = store.queueChanges().makeAsyncIterator()
    let job = try await store.create()
    await queue.next()
    var changes = store.changes(of: job.id).makeAsyncIterator()
    _ = try await store.startAttempt(of: job.id)
    await changes.next()
    try await store.append([.step(1)], to: job.id, attempt: 1)
    await changes.next()
    _ = try await store.cancel(job.id)
    await changes.next()
    await queue.next()
  }
}
