import Foundation
import JobStore
import JobSupervision
import Testing

/// What the machine does to jobs.
@Suite(.timeLimit(.minutes(5))) struct HostFailureTests {
  private func isTrouble(_ notice: SupervisionNotice) -> Bool {
    if case .trouble = notice { true } else { false }
  }

  @Test func `A worker that cannot be started is not the job's failure`() async throws {
    let root = FileManager.default.temporaryDirectory.path + "/supervised-\(UUID().uuidString)"
    let jobs = try SupervisedJobs(worker: "\(root)/worker", root: root)
    let sample = try SupervisedJobs().options.worker
    try await jobs.supervised { _ in
      let created = try await jobs.create()
      let waiting = try await jobs.wait(for: created) { $0.attempts.count > 5 }
      #expect(waiting.failures == 0)
      let message = try #require(waiting.attempts.first?.message)
      #expect(message.contains("cannot run \(root)/worker"), "\(message)")
      try FileManager.default.createSymbolicLink(
        atPath: "\(root)/worker",
        withDestinationPath: sample
      )
      let job = try await jobs.wait(for: created)
      #expect(job.state == .succeeded, "\(job.error)")
      #expect(job.attempts.dropLast().allSatisfy { $0.outcome == .interrupted })
    }
  }

  @Test func `A folder that cannot be made is not the job's failure`() async throws {
    let jobs = try SupervisedJobs()
    let created = try await jobs.create()
    let folder = "\(jobs.root)/jobs/\(created.id)"
    try FileManager.default.createDirectory(
      atPath: "\(jobs.root)/jobs",
      withIntermediateDirectories: true
    )
    try Data().write(to: URL(filePath: folder))
    try await jobs.supervised { _ in
      let waiting = try await jobs.wait(for: created) { $0.attempts.count > 5 }
      #expect(waiting.failures == 0)
      try FileManager.default.removeItem(atPath: folder)
      #expect(try await jobs.wait(for: created).state == .succeeded)
    }
  }

  @Test func `A worker that says it was failed by others is started until it is not`() async throws
  {
    let jobs = try SupervisedJobs()
    try await jobs.supervised { _ in
      let settings = ["steps": "4", "at": "2", "attempts": "1,2,3,4,5,6", "do": "exit 75"]
      let job = try await jobs.wait(for: jobs.create(settings))
      #expect(job.state == .succeeded, "\(job.error)")
      #expect(job.failures == 0)
      #expect(job.attempts.count == 7)
      #expect(job.metrics == ["weights": SupervisedJobs.weights(4)])
    }
  }

  @Test func `An end that cannot be stored is kept until it can`() async throws {
    let jobs = try SupervisedJobs()
    let mend = try jobs.breakStore("UPDATE ON attempt")
    try await jobs.supervised { _ in
      let created = try await jobs.create()
      for _ in 1...3 { await jobs.notice(isTrouble) }
      #expect(try await jobs.store.job(created.id).state == .running)
      try mend()
      let job = try await jobs.wait(for: created)
      #expect(job.state == .succeeded)
      #expect(job.attempts.map(\.outcome) == [.succeeded])
    }
  }

  @Test func `An end that cannot be stored does not hold up the stop, and is reported`()
    async throws
  {
    let jobs = try SupervisedJobs()
    let mend = try jobs.breakStore("UPDATE ON attempt")
    let created = try await jobs.create()
    try await jobs.supervised { _ in await jobs.notice(isTrouble) }
    #expect(try await jobs.store.job(created.id).state == .running)
    let open = jobs.notices.reduce(0) { count, notice in
      switch notice {
      case .started: count + 1
      case .ended: count - 1
      default: count
      }
    }
    #expect(open == 0)
    try mend()
    try await jobs.supervised { _ in
      let job = try await jobs.wait(for: created)
      #expect(job.state == .succeeded)
    }
  }

  @Test func `A queue that fails is tried again`() async throws {
    let jobs = try SupervisedJobs()
    let mend = try jobs.breakStore("INSERT ON attempt")
    try await jobs.supervised { _ in
      let created = try await jobs.create()
      for _ in 1...3 {
        await jobs.notice { if case .stalled = $0 { true } else { false } }
      }
      try mend()
      #expect(try await jobs.wait(for: created).state == .succeeded)
    }
  }

  @Test func `A job that is said to run but has no worker is cancelled at once`() async throws {
    let jobs = try SupervisedJobs()
    let job = try await jobs.store.startAttempt(of: jobs.create().id)
    let supervisor = jobs.supervisor()
    let ended = try await supervisor.cancel(job.id)
    #expect(ended.state == .cancelled)
    #expect(ended.attempts.map(\.outcome) == [.cancelled])
    #expect(try await supervisor.cancel(job.id) == ended)
  }
}
