import JobStore
import Testing
import WorkerProtocol

@Suite struct CreationTests {
  @Test func `A job is queued as it was specified, and is there after the store is opened again`()
    async throws
  {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    let job = try await store.create()
    #expect(job.state == .queued)
    #expect(job.specification == .sample())
    #expect(job.id.hasPrefix("job-") && job.id.count == 14)
    #expect(job.createdAtMilliseconds == 1_000)
    #expect(job.cursor == 1)
    #expect(throws: JobStoreError.self, "another owner") { try temporary.open() }
    try store.close()

    let again = try temporary.open()
    #expect(try await again.job(job.id) == job)
    #expect(try await failure { _ = try await again.job("job-0") }.code == .notFound)
  }

  @Test func `A key with the same request is the same job, with another one it is refused`()
    async throws
  {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    let first = try await store.create(.sample(), key: "k", request: "r")
    let second = try await store.create(.sample(), key: "k", request: "r")
    #expect(first.isNew && !second.isNew)
    #expect(second.job == first.job)
    #expect(try await store.job(withKey: "k", request: "r") == first.job)
    #expect(try await store.job(withKey: "other", request: "r") == nil)
    let error = try await failure {
      _ = try await store.create(.sample(), key: "k", request: "s")
    }
    #expect(error.code == .alreadyExists)
    #expect(error.message.contains(first.job.id))
    #expect(try await store.create(.sample(), key: nil, request: "r").isNew)
  }

  @Test func `One key used at once by many makes one job`() async throws {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    let ids = try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<20 {
        group.addTask { try await store.create(.sample(), key: "k", request: "r").job.id }
      }
      return try await group.reduce(into: Set<String>()) { $0.insert($1) }
    }
    #expect(ids.count == 1)
  }

  @Test func `A full queue refuses, and the oldest ended jobs make room`() async throws {
    let temporary = try TemporaryJobs()
    var limits = JobLimits()
    (limits.openJobsMax, limits.jobsMax) = (2, 3)
    let store = try temporary.open(limits)
    var jobs = [try await store.create("a"), try await store.create("b")]
    let error = try await failure { _ = try await store.create("c") }
    #expect(error.code == .resourceExhausted)
    #expect(error.message.contains("openJobsMax"))
    for job in jobs { _ = try await store.cancel(job.id) }
    jobs.append(try await store.create("c"))
    let creation = try await store.create(.sample("d"), key: nil, request: "")
    #expect(creation.forgotten == [jobs[0].id])
    #expect(try await store.ids().count == 3)
    #expect(try await failure { _ = try await store.job(jobs[0].id) }.code == .notFound)
  }

  @Test func `Jobs are listed by page, the newest first, by state and model`() async throws {
    let temporary = try TemporaryJobs()
    let store = try temporary.open()
    var jobs: [Job] = []
    for number in 0..<5 { jobs.append(try await store.create(number < 2 ? "a" : "b")) }
    _ = try await store.cancel(jobs[3].id)
    let page = try await store.jobs(count: 2)
    #expect(page.map(\.id) == [jobs[4].id, jobs[3].id])
    let rest = try await store.jobs(count: 9, before: page[1].number)
    #expect(rest.map(\.id) == [jobs[2].id, jobs[1].id, jobs[0].id])
    #expect(try await store.jobs(in: [.cancelled], count: 9).map(\.id) == [jobs[3].id])
    #expect(try await store.jobs(in: [.queued], model: "a", count: 9).count == 2)
    #expect(try await store.jobs(in: [.running, .failed], count: 9).isEmpty)
    #expect(try await store.queuePosition(of: jobs[4]) == 3)
    #expect(try await store.counts() == [.queued: 4, .cancelled: 1])
  }
}
