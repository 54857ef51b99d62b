import Foundation
import JobStore
import JobSupervision
import Testing
import WorkerProtocol

/// The process of the service is killed while a worker runs.
@Suite(.serialized, .timeLimit(.minutes(5))) struct KillTests {
  @Test(arguments: [1, 3, 6])
  func `The worker ends with the service, and the next service finishes the job`(
    step: UInt64
  ) async throws {
    let root = FileManager.default.temporaryDirectory.path + "/killed-\(UUID().uuidString)"
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [root = root as String, step = step as UInt64] in
      let jobs = try SupervisedJobs(root: root)
      let created = try await jobs.create(
        ["steps": "7", "at": "\(step)", "attempts": "1", "do": "stubborn"]
      )
      try await jobs.supervised { _ in
        _ = try await jobs.wait(for: created) { $0.progress.step == step }
        kill(getpid(), SIGKILL)
      }
    }

    let jobs = try SupervisedJobs(root: root)
    let left = try #require(try await jobs.store.jobs(count: 1).first)
    #expect(left.state == .running)
    let worker = try await jobs.process(of: left)
    try await jobs.supervised { _ in
      let job = try await jobs.wait(for: left)
      #expect(job.state == .succeeded, "\(job.error)")
      #expect(job.failures == 0)
      #expect(job.attempts.map(\.outcome) == [.interrupted, .succeeded])
      #expect(job.metrics == ["weights": SupervisedJobs.weights(7)])
    }
    // The second worker could only lock the job's folder once the first was gone.
    #expect(!isAlive(worker))
    #expect(
      jobs.notices.contains { if case .recovered(left.id) = $0 { true } else { false } }
    )
  }

  @Test(arguments: 0..<5)
  func `Killed at random moments, worker and service, a job ends with the same result`(
    round: Int
  ) async throws {
    let root = FileManager.default.temporaryDirectory.path + "/killed-\(UUID().uuidString)"
    let microseconds = Int.random(in: 0..<300_000)
    await #expect(processExitsWith: .signal(SIGKILL), "after \(microseconds) µs") {
      [root = root as String, microseconds = microseconds as Int] in
      let jobs = try SupervisedJobs(root: root)
      DispatchQueue.global().asyncAfter(deadline: .now() + .microseconds(microseconds)) {
        kill(getpid(), SIGKILL)
      }
      _ = try await jobs.create(["steps": "2000"])
      try await jobs.supervised { _ in
        for await _ in jobs.store.changes(of: "none") {}
      }
    }

    let jobs = try SupervisedJobs(root: root)
    let left = try await jobs.store.jobs(count: 1).first
    try await jobs.supervised { _ in
      let created =
        if let left { left } else { try await jobs.create(["steps": "2000"]) }
      let half = try await jobs.wait(for: created) { $0.progress.step > 500 }
      if half.state == .running { kill(try await jobs.process(of: half), SIGKILL) }
      let job = try await jobs.wait(for: created)
      #expect(job.state == .succeeded, "\(job.error), after \(microseconds) µs")
      #expect(job.metrics == ["weights": SupervisedJobs.weights(2_000)])
    }
  }
}
