import ArgumentParser
import RPC
import ServiceAPI
import Supervision
import UnixSignals

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Follows a job to its end, over lost connections, until the user leaves.
struct JobWatch: Sendable {
  static let retryInterval: Duration = .milliseconds(200)

  let client: TrainingV1.TrainingClient
  let id: String

  private enum End: Sendable {
    case ended
    case interrupted
  }

  /// Shows the job's events until it has ended, and then its result.
  ///
  /// Ctrl-C leaves the job alone unless the user wants it cancelled. Fails with 1 if the job did not succeed.
  func run() async throws {
    let signals = await UnixSignalsSequence(trapping: .sigint)
    let end = try await withThrowingTaskGroup(of: End.self) { group in
      group.addTask {
        try await follow()
        return .ended
      }
      group.addTask {
        for await _ in signals { return .interrupted }
        throw CancellationError()
      }
      defer { group.cancelAll() }
      return try await group.next() ?? .ended
    }
    switch end {
    case .ended: try await tellResult()
    case .interrupted: try await leave()
    }
  }

  private func follow() async throws {
    var progress = TrainingProgress()
    var request = TrainingV1.WatchJobRequest()
    request.id = id
    var outage = ServiceOutage()
    while true {
      let attempt = ContinuousClock.now
      var failure: RPCError?
      do {
        for try await event in try await client.watchJob(request) {
          progress.show(event)
          request.afterCursor = event.cursor
          outage.end()
        }
      } catch {
        failure = error
      }
      guard let failure else { return progress.end() }
      guard Self.isPassing(failure), !Task.isCancelled,
        outage.isBearable(at: .now, after: attempt)
      else { throw failure }
      try await Task.sleep(for: Self.retryInterval)
    }
  }

  private static func isPassing(_ error: RPCError) -> Bool {
    [.unavailable, .cancelled, .internal, .unknown].contains(error.code)
  }

  /// Says how the job ended.
  func tellResult() async throws {
    let job = try await job()
    switch job.state {
    case .succeeded:
      Output.line("\(id) succeeded: registered \(job.resultModel)")
      if !job.metrics.isEmpty {
        Output.table(
          job.metrics.sorted { $0.key < $1.key }.map { [$0.key, Figures.fixed($0.value, 4)] }
        )
      }
      Output.line("serve it with: llmos models promote \(job.resultModel)")
    case .failed:
      Output.line("\(id) failed: \(job.error)")
      throw ExitCode(1)
    default:
      Output.line("\(id) is \(job.state.word)")
      throw ExitCode(1)
    }
  }

  /// After Ctrl-C: the job goes on, unless the user says otherwise.
  private func leave() async throws {
    Output.line("")
    if isatty(0) == 1, isatty(1) == 1 {
      Output.fragment("Let \(id) go on without you? [Y/n] ")
      let answer = readLine()?.lowercased() ?? ""
      if answer.hasPrefix("n") {
        var request = TrainingV1.CancelJobRequest()
        request.id = id
        let job = try await client.cancelJob(request)
        Output.line("\(id) is \(job.state == .cancelled ? "cancelled" : "being cancelled")")
        return
      }
    }
    tellDetached()
  }

  /// Says how a job that goes on by itself is found again.
  func tellDetached() {
    Output.line("\(id) goes on; watch it with: llmos jobs watch \(id)")
    Output.line("cancel it with: llmos jobs cancel \(id)")
  }

  private func job() async throws -> TrainingV1.Job {
    var request = TrainingV1.GetJobRequest()
    request.id = id
    return try await client.getJob(
      request,
      options: CallOptions(readyTimeout: ServiceOutage.patience)
    )
  }
}
