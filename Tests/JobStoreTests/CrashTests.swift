import Foundation
import JobStore
import Testing
import WorkerProtocol

/// A process that owns the store is killed; what it leaves is opened again.
@Suite(.serialized) struct CrashTests {
  @Test(arguments: 0..<6)
  func `Killed at a random moment, no acknowledged change is lost and none is half there`(
    round: Int
  ) async throws {
    let temporary = try TemporaryJobs()
    let microseconds = Int.random(in: 0..<80_000)
    let (path, notes) = (temporary.path, "\(temporary.root)/acknowledged")
    await #expect(processExitsWith: .signal(SIGKILL), "after \(microseconds) µs") {
      [path = path as String, notes = notes as String, microseconds = microseconds as Int] in
      try await WritingProcess.run(path: path, notes: notes, killAfter: microseconds)
    }

    let store = try temporary.open()
    let acknowledged = FileManager.default.contents(atPath: notes) ?? Data()
    let keys = String(decoding: acknowledged, as: UTF8.self).split(separator: "\n").map(String.init)
    for key in keys {
      let job = try await store.job(withKey: key, request: key)
      #expect(job != nil, "\(key) after \(microseconds) µs")
    }
    for job in try await store.jobs(count: 200) {
      try await check(job, store)
    }
    let running = try await store.jobs(in: [.running], count: 200)
    let recovered = try await store.recover()
    #expect(Set(recovered.map(\.id)) == Set(running.map(\.id)))
    #expect(try await store.jobs(in: [.running], count: 200).isEmpty)
    #expect(try await store.create(.sample(), key: "after", request: "after").isNew)
  }

  private func check(_ job: Job, _ store: JobStore) async throws {
    let events = try await store.allEvents(of: job)
    #expect(events.map(\.cursor) == Array(1...job.cursor))
    let states = events.compactMap { event -> JobState? in
      if case .state(let state, _) = event.body { state } else { nil }
    }
    #expect(states.last == job.state)
    #expect(job.attempts.contains { $0.outcome == .running } == (job.state == .running))
    // A batch of two steps is there as a whole or not at all.
    #expect(job.progress.step.isMultiple(of: 2))
    let series = try await store.series(of: job.id, names: ["train.loss"], pointsMax: 1_000)
    #expect(series.first?.steps.last ?? 0 == job.progress.step)
  }
}

/// What runs in the process that is killed.
private enum WritingProcess {
  static func run(path: String, notes: String, killAfter microseconds: Int) async throws {
    let store = try JobStore(path: path)
    guard FileManager.default.createFile(atPath: notes, contents: nil) else { return }
    let file = try #require(FileHandle(forWritingAtPath: notes))
    DispatchQueue.global().asyncAfter(deadline: .now() + .microseconds(microseconds)) {
      kill(getpid(), SIGKILL)
    }
    for number in 0..<1_000_000 {
      let job = try await store.create(.sample(), key: "k\(number)", request: "k\(number)").job
      try file.write(contentsOf: Data("k\(number)\n".utf8))
      _ = try await store.startAttempt(of: job.id)
      for step: UInt64 in 0..<4 {
        let steps: [WorkerEvent] = [.step(step * 2 + 1), .step(step * 2 + 2)]
        try await store.append(steps, to: job.id, attempt: 1)
      }
      let end = JobStore.AttemptEnd.failed("crash", isPermanent: number.isMultiple(of: 2))
      if number % 3 != 0 {
        try await store.endAttempt(of: job.id, end, delay: { _ in 0 }, hostDelay: { _ in 0 })
      }
    }
  }
}
