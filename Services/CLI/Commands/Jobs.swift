import ArgumentParser
import ServiceAPI

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `llmos jobs`: the training jobs.
struct Jobs: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Lists, describes, watches and cancels training jobs.",
    subcommands: [List.self, Show.self, Watch.self, Cancel.self],
    defaultSubcommand: List.self
  )

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists jobs, the newest first.")

    @OptionGroup var connection: TrainingConnection
    @Option(help: "Only jobs in this state; repeatable.") var state: [String] = []
    @Option(help: "Only jobs of this model.") var model: String?
    @Option(help: "The most jobs to list, up to 200.") var count: UInt32 = 20

    func run() async throws {
      var request = TrainingV1.ListJobsRequest()
      request.model = model ?? ""
      request.pageSize = count
      request.states = try state.map { word in
        guard let state = TrainingV1.JobState(word: word) else {
          throw ValidationError("--state \(word): queued, running, succeeded, failed or cancelled")
        }
        return state
      }
      let response = try await connection.call { [request] in try await $0.listJobs(request) }
      Output.table(
        [["JOB", "STATE", "TASK", "DATA", "MODEL", "STEP", "TIME"]]
          + response.jobs.map { job in
            let progress = job.progress
            return [
              job.id, job.state.word, job.specification?.task.word ?? "",
              job.specification?.dataset ?? "",
              job.resultModel.isEmpty ? job.specification?.model ?? "" : job.resultModel,
              progress.map { $0.steps > 0 ? "\($0.step)/\($0.steps)" : "-" } ?? "-", job.timeText,
            ]
          }
      )
      if !response.nextPageToken.isEmpty {
        Output.line("… and older ones; --count shows more")
      }
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Describes one job.")

    @OptionGroup var connection: TrainingConnection
    @Option(help: "Print this report instead.") var report: String?
    @Argument(help: "The job.") var id: String

    func run() async throws {
      if let report { return try await printReport(report) }
      let job = try await connection.call { client in
        var request = TrainingV1.GetJobRequest()
        request.id = id
        return try await client.getJob(request)
      }
      Output.table(job.description.filter { !$0[1].isEmpty })
      section(
        "SETTINGS",
        (job.specification?.settings ?? [:]).sorted { $0.key < $1.key }.map { [$0.key, $0.value] }
      )
      section(
        "ATTEMPTS",
        job.attempts.map { attempt in
          [
            "\(attempt.number)", attempt.outcome.word,
            attempt.message.split(separator: "\n").first.map(String.init) ?? "",
          ]
        }
      )
      section(
        "METRICS",
        job.metrics.sorted { $0.key < $1.key }.map { [$0.key, Figures.fixed($0.value, 4)] }
      )
      section("REPORTS (--report NAME prints one)", job.reports.map { [$0] })
    }

    private func section(_ title: String, _ rows: [[String]]) {
      guard !rows.isEmpty else { return }
      Output.line("")
      Output.line(title)
      Output.table(rows)
    }

    private func printReport(_ name: String) async throws {
      let report = try await connection.call { client in
        var request = TrainingV1.GetReportRequest()
        (request.id, request.name) = (id, name)
        return try await client.getReport(request)
      }
      Output.fragment(report.text)
    }
  }

  struct Watch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Follows a job to its end; Ctrl-C leaves it running."
    )

    @OptionGroup var connection: TrainingConnection
    @Argument(help: "The job.") var id: String

    func run() async throws {
      try await connection.call { try await JobWatch(client: $0, id: id).run() }
    }
  }

  struct Cancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Ends a job.")

    @OptionGroup var connection: TrainingConnection
    @Argument(help: "The job.") var id: String

    func run() async throws {
      let job = try await connection.call { client in
        var request = TrainingV1.CancelJobRequest()
        request.id = id
        return try await client.cancelJob(request)
      }
      Output.line(
        job.state == .running ? "\(id) is being cancelled" : "\(id) is \(job.state.word)"
      )
    }
  }
}

extension TrainingV1.Job {
  /// How long it ran, or has run.
  var timeText: String {
    guard startedAtMs > 0 else { return "-" }
    let end = endedAtMs > 0 ? Double(endedAtMs) / 1_000 : Date().timeIntervalSince1970
    return Figures.duration(seconds: max(0, end - Double(startedAtMs) / 1_000))
  }

  /// What is said of a job, as names and values; values that are empty say nothing.
  fileprivate var description: [[String]] {
    var rows = [
      ["job", id], ["state", cancelRequested && !state.isFinal ? "cancelling" : state.word],
    ]
    if state == .queued { rows.append(["before it", "\(queuePosition) jobs"]) }
    rows.append(["error", error])
    if let specification {
      let splits = [specification.trainSplit, specification.devSplit, specification.testSplit]
      rows += [
        ["task", specification.task.word], ["data", specification.dataset],
        ["splits", splits.filter { !$0.isEmpty }.joined(separator: ", ")],
        ["base", specification.baseModel.isEmpty ? "from scratch" : specification.baseModel],
        ["model", resultModel.isEmpty ? specification.model : resultModel],
      ]
    }
    rows.append(["time", timeText])
    if let progress, progress.steps > 0 {
      rows += [
        ["step", "\(progress.step)/\(progress.steps), epoch \(Figures.fixed(progress.epoch, 2))"],
        ["loss", Figures.fixed(progress.loss, 4)],
        ["tokens/s", Figures.fixed(progress.tokensPerSecond, 0)],
        ["memory", "\(progress.memoryBytes >> 20) MiB estimated"],
      ]
      if state == .running, progress.remainingSeconds > 0 {
        rows.append(["ETA", Figures.duration(seconds: progress.remainingSeconds)])
      }
    }
    return rows
  }
}
