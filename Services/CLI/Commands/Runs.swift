import ArgumentParser
import ServiceAPI

/// `llmos runs`: what jobs came to.
struct Runs: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compares training jobs.",
    subcommands: [Compare.self]
  )

  struct Compare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Shows the settings and metrics of jobs side by side; * marks what differs."
    )

    @OptionGroup var connection: TrainingConnection
    @Argument(help: "Two to eight jobs.") var ids: [String]

    func validate() throws {
      guard (2...8).contains(ids.count) else { throw ValidationError("two to eight jobs") }
    }

    func run() async throws {
      let jobs = try await connection.call { client in
        var jobs: [TrainingV1.Job] = []
        for id in ids {
          var request = TrainingV1.GetJobRequest()
          request.id = id
          jobs.append(try await client.getJob(request))
        }
        return jobs
      }
      Output.table(Self.table(jobs))
    }

    /// One row for each setting and metric, one column for each job.
    static func table(_ jobs: [TrainingV1.Job]) -> [[String]] {
      var rows = [["", ""] + jobs.map(\.id)]
      func add(_ name: String, _ value: (TrainingV1.Job) -> String?) {
        let values = jobs.map { value($0).flatMap { $0.isEmpty ? nil : $0 } ?? "-" }
        rows.append([Set(values).count > 1 ? "*" : " ", name] + values)
      }
      add("state") { $0.state.word }
      add("task") { $0.specification?.task.word }
      add("data") { $0.specification?.dataset }
      add("base") { $0.specification?.baseModel }
      add("model") { $0.resultModel.isEmpty ? $0.specification?.model : $0.resultModel }
      for name in Set(jobs.flatMap { ($0.specification?.settings ?? [:]).keys }).sorted() {
        add(name) { $0.specification?.settings[name] ?? "default" }
      }
      add("time") { $0.timeText }
      add("steps") { $0.progress.map { "\($0.step)" } }
      add("last loss") { $0.progress.map { Figures.fixed($0.loss, 4) } }
      add("tokens/s") { $0.progress.map { Figures.fixed($0.tokensPerSecond, 0) } }
      for name in Set(jobs.flatMap { $0.metrics.keys }).sorted() {
        add(name) { $0.metrics[name].map { Figures.fixed($0, 4) } }
      }
      return rows
    }
  }
}
