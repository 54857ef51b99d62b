import Foundation
import JobStore
import JobSupervision
import Testing
import WorkerProtocol

@Suite(.timeLimit(.minutes(5))) struct SupervisionTests {
  @Test func `A job runs in a process of its own, and what it told is kept`() async throws {
    let jobs = try SupervisedJobs()
    try await jobs.supervised { supervisor in
      let job = try await jobs.wait(for: jobs.create(["steps": "5"]))
      #expect(job.state == .succeeded, "\(job.error)")
      #expect(job.resultModel == "m@1")
      #expect(job.metrics == ["weights": SupervisedJobs.weights(5)])
      #expect(job.reports == ["report.txt"])
      #expect(job.progress.step == 5)
      #expect(job.progress.memoryBytes == 3 << 20)
      #expect(job.attempts.map(\.outcome) == [.succeeded])
      let series = try await jobs.store.series(of: job.id, names: ["train.loss"], pointsMax: 9)
      #expect(series.first?.values == (1...5).map { 1 / Double($0) })
      #expect(try await jobs.process(of: job) != getpid())
    }
    // Once the supervisor has ended, so has its tidying.
    let job = try #require(try await jobs.store.jobs(count: 1).first)
    #expect(!jobs.exists(job, "work") && jobs.exists(job, "reports/report.txt"))
    let folders = JobFolders(root: "\(jobs.root)/jobs")
    #expect(try await folders.report("report.txt", of: job.id)?.hasPrefix("weights ") == true)
    #expect(try await folders.report("../worker.json", of: job.id) == nil)
  }

  @Test func `After crashes a job goes on from its checkpoint and ends with the same result`()
    async throws
  {
    let jobs = try SupervisedJobs()
    try await jobs.supervised { _ in
      let settings = ["steps": "9", "at": "4", "attempts": "1,2,3", "do": "signal 9"]
      let job = try await jobs.wait(for: jobs.create(settings))
      #expect(job.state == .succeeded, "\(job.error)")
      #expect(job.metrics == ["weights": SupervisedJobs.weights(9)])
      #expect(job.attempts.map(\.outcome) == [.failed, .failed, .failed, .succeeded])
      #expect(
        job.attempts[0].message.contains(
          "signal 9 (SIGKILL): most likely the machine ran out of memory"
        )
      )
      #expect(job.attempts[0].message.contains("its estimate was 3 MiB"))
      let steps = try await jobs.store.events(of: job.id, after: 0, count: 1_000).events
        .compactMap { event -> UInt64? in
          if case .worker(.step(let step)) = event.body { step.step } else { nil }
        }
      #expect(steps == [1, 2, 3, 4, 4, 4, 4, 5, 6, 7, 8, 9])
    }
  }

  @Test(
    arguments: [
      ("signal 24", "signal 24 (SIGXCPU)"), ("exit 3", "exited with code 3"),
      ("quit", "ended without a result"),
    ]
  )
  func `The fourth failure is the job's, with the way it ended and its last words`(
    action: String,
    words: String
  ) async throws {
    let jobs = try SupervisedJobs()
    try await jobs.supervised { _ in
      let job = try await jobs.wait(for: jobs.create(["at": "2", "do": action]))
      #expect(job.state == .failed)
      #expect(job.attempts.count == 4)
      #expect(job.error.contains(words), "\(job.error)")
      #expect(job.error.contains("about to \(action)"), "\(job.error)")
      #expect(job.error.hasSuffix("(after 3 restarts)"), "\(job.error)")
    }
  }

  @Test func `What the worker calls hopeless is not tried again`() async throws {
    let jobs = try SupervisedJobs()
    try await jobs.supervised { _ in
      let job = try await jobs.wait(for: jobs.create(["at": "1", "do": "fail"]))
      #expect(job.state == .failed)
      #expect(job.error == "train, row 7: no tags")
      #expect(job.attempts.count == 1)
    }
  }

  @Test func `Lines that are no events are passed over and reported`() async throws {
    let jobs = try SupervisedJobs()
    try await jobs.supervised { _ in
      let job = try await jobs.wait(for: jobs.create(["at": "2", "do": "garbage"]))
      #expect(job.state == .succeeded, "\(job.error)")
    }
    let troubles = jobs.notices.compactMap { notice -> String? in
      if case .trouble(_, let message) = notice { message } else { nil }
    }
    #expect(troubles == ["3 lines of the worker were no events"])
  }

  @Test(arguments: ["hang", "stubborn"])
  func `A job that is cancelled ends with its worker, which is killed if it must be`(
    action: String
  ) async throws {
    let jobs = try SupervisedJobs(stopGrace: action == "hang" ? .seconds(30) : .milliseconds(20))
    try await jobs.supervised { supervisor in
      let hanging = try await jobs.create(["at": "2", "do": action])
      _ = try await jobs.wait(for: hanging) { $0.progress.step == 2 }
      let worker = try await jobs.process(of: hanging)
      let asked = try await supervisor.cancel(hanging.id)
      #expect(asked.state == .running && asked.isCancelRequested)
      let job = try await jobs.wait(for: hanging)
      #expect(job.state == .cancelled)
      #expect(job.attempts.map(\.outcome) == [.cancelled])
      #expect(!isAlive(worker))
      #expect(try await supervisor.cancel(hanging.id) == job)
    }
  }

  @Test func `Jobs wait for their turn, and as many run at once as are allowed`() async throws {
    let jobs = try SupervisedJobs(jobsMax: 2)
    try await jobs.supervised { supervisor in
      let first = try await jobs.create(["at": "1", "do": "hang"], model: "first")
      let second = try await jobs.create(["at": "1", "do": "hang"], model: "second")
      let third = try await jobs.create(model: "third")
      let fourth = try await jobs.create(model: "fourth")
      for job in [first, second] { _ = try await jobs.wait(for: job) { $0.progress.step == 1 } }
      #expect(try await jobs.store.job(third.id).state == .queued)
      #expect(try await supervisor.cancel(fourth.id).state == .cancelled)
      _ = try await supervisor.cancel(first.id)
      #expect(try await jobs.wait(for: third).state == .succeeded)
      #expect(try await jobs.store.job(second.id).state == .running)
      _ = try await supervisor.cancel(second.id)
      #expect(try await jobs.wait(for: second).state == .cancelled)
      #expect(try await jobs.store.job(fourth.id).attempts.isEmpty)
    }
  }

  @Test func `When the service stops, its jobs wait and go on with the next start`() async throws {
    let jobs = try SupervisedJobs()
    let settings = ["steps": "6", "at": "3", "attempts": "1,2,3,4,5", "do": "hang"]
    let created = try await jobs.create(settings)
    for round in 1...5 {
      try await jobs.supervised { _ in
        _ = try await jobs.wait(for: created) {
          $0.attempts.count == round && $0.progress.step == 3
        }
      }
      let job = try await jobs.store.job(created.id)
      #expect(job.state == .queued)
      #expect(job.failures == 0)
      #expect(job.attempts.last?.outcome == .interrupted)
    }
    try await jobs.supervised { _ in
      let job = try await jobs.wait(for: created)
      #expect(job.state == .succeeded)
      #expect(job.metrics == ["weights": SupervisedJobs.weights(6)])
    }
  }
}
