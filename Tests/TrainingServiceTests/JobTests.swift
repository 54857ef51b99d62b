import Foundation
import JobStore
import RPC
import ServiceAPI
import ServiceKit
import Testing
import TrainingService
import WorkerProtocol

@Suite(.timeLimit(.minutes(5))) struct JobTests {
  /// The events of a job until it ends, or until `isEnough`.
  private func events(
    _ stream: ResponseStream<TrainingV1.JobEvent>,
    until isEnough: (TrainingV1.JobEvent) -> Bool = { _ in false }
  ) async throws -> [TrainingV1.JobEvent] {
    var events: [TrainingV1.JobEvent] = []
    for try await event in stream {
      events.append(event)
      if isEnough(event) { break }
    }
    return events
  }

  private func isStep(_ event: TrainingV1.JobEvent, _ number: UInt64) -> Bool {
    if case .step(let step) = event.event { step.step == number } else { false }
  }

  @Test func `A job is watched to its end; its figures and reports stay`() async throws {
    try await withTraining { training in
      let job = try await training.create(["steps": "6"])
      let events = try await events(training.watch(job.id))
      let states = events.compactMap { event -> TrainingV1.JobState? in
        if case .state(let changed) = event.event { changed.state } else { nil }
      }
      #expect(states == [.queued, .running, .succeeded])
      #expect((1...6).allSatisfy { step in events.contains { isStep($0, step) } })
      #expect(
        events.contains {
          if case .prepared(let work) = $0.event { work.steps == 6 } else { false }
        }
      )
      #expect(events.map(\.cursor) == Array(1...UInt64(events.count)))

      let ended = try await training.get(job.id)
      #expect(ended.state == .succeeded)
      #expect(ended.resultModel == "tagger@1")
      #expect(ended.progress?.step == 6)
      #expect(ended.reports == ["report.txt"])
      var report = TrainingV1.GetReportRequest()
      (report.id, report.name) = (job.id, "report.txt")
      #expect(try await training.client.getReport(report).text.hasPrefix("weights "))
      report.name = "../worker.json"
      let missing = try await refusal { _ = try await training.client.getReport(report) }
      #expect(missing.code == .notFound)
      #expect(missing.message.contains("report.txt"))

      var metrics = TrainingV1.GetMetricsRequest()
      metrics.ids = [job.id]
      metrics.names = ["train.loss"]
      metrics.pointsMax = 2
      let series = try await training.client.getMetrics(metrics).series
      #expect(series.map(\.steps) == [[1, 6]])
      #expect(series.map(\.jobID) == [job.id])
      metrics.pointsMax = 1
      #expect(
        try await refusal { _ = try await training.client.getMetrics(metrics) }.code
          == .invalidArgument
      )
    }
  }

  @Test func `A watcher that lost its connection goes on after its last event`() async throws {
    try await withTraining { training in
      let job = try await training.create(["steps": "4", "at": "2", "do": "hang"])
      let seen = try await events(training.watch(job.id)) { isStep($0, 2) }
      let stream = try await training.watch(job.id, after: seen.last?.cursor ?? 0)
      let asked = try await training.cancel(job.id)
      #expect(asked.cancelRequested)
      let rest = try await events(stream)
      #expect((seen + rest).map(\.cursor) == Array(1...UInt64(seen.count + rest.count)))
      guard case .state(let last) = rest.last?.event else {
        Issue.record("the last event is \(String(describing: rest.last))")
        return
      }
      #expect(last.state == .cancelled)
      #expect(try await training.get(job.id).attempts.map(\.outcome) == [.cancelled])
      // Watching a job that has ended ends, too.
      #expect(try await events(training.watch(job.id)).count == seen.count + rest.count)
    }
  }

  @Test func `A failure is shown with its reason and its attempts`() async throws {
    try await withTraining { training in
      let job = try await training.create(["at": "1", "do": "exit 3"])
      _ = try await events(training.watch(job.id))
      let failed = try await training.get(job.id)
      #expect(failed.state == .failed)
      #expect(failed.error.contains("exited with code 3"))
      #expect(failed.attempts.count == 4)
      #expect(failed.attempts.allSatisfy { $0.outcome == .failed && $0.endedAtMs > 0 })
    }
  }

  @Test func `When the service drains, watchers are told to come back`() async throws {
    try await withTraining { training in
      let job = try await training.create(["at": "1", "do": "hang"])
      var iterator = try await training.watch(job.id).makeAsyncIterator()
      _ = try await iterator.next()
      training.health.markDraining()
      let error = try await refusal { while try await iterator.next() != nil {} }
      #expect(error.code == .unavailable)
    }
  }

  @Test func `Jobs are listed page by page, and none is found twice`() async throws {
    try await withTraining(jobsRun: false) { training in
      var ids: [String] = []
      for number in 0..<5 { ids.append(try await training.create { $0.model = "m\(number)" }.id) }
      var request = TrainingV1.ListJobsRequest()
      request.pageSize = 2
      var found: [String] = []
      repeat {
        let page = try await training.client.listJobs(request)
        found += page.jobs.map(\.id)
        request.pageToken = page.nextPageToken
      } while !request.pageToken.isEmpty
      #expect(found == ids.reversed())
      // A page is never larger than the store's bound, which is then full.
      let size = JobLimits().pageSizeMax
      for number in ids.count...size {
        let specification = JobSpecification(task: .ner, dataset: "d@1", model: "x\(number)")
        _ = try await training.store.create(specification, key: nil, request: "")
      }
      request.pageSize = UInt32(size) + 100
      request.pageToken = ""
      let page = try await training.client.listJobs(request)
      #expect(page.jobs.count == size)
      request.pageToken = page.nextPageToken
      #expect(try await training.client.listJobs(request).jobs.map(\.id) == [ids[0]])
      _ = try await training.cancel(ids[1])
      request = TrainingV1.ListJobsRequest()
      request.states = [.cancelled]
      #expect(try await training.client.listJobs(request).jobs.map(\.id) == [ids[1]])
      request.states = []
      request.model = "m4"
      #expect(try await training.client.listJobs(request).jobs.map(\.id) == [ids[4]])
      request.pageToken = "x"
      #expect(
        try await refusal { _ = try await training.client.listJobs(request) }.code
          == .invalidArgument
      )
      #expect(try await refusal { _ = try await training.get("job-none") }.code == .notFound)
      #expect(try await refusal { _ = try await training.cancel("job-none") }.code == .notFound)
      #expect(
        try await refusal { _ = try await events(training.watch("job-none")) }.code
          == .notFound
      )
    }
  }
}
