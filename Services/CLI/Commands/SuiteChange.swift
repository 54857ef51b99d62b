import Supervision

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A change that is asked of a running suite: written down, then the supervisor is told to look.
struct SuiteChange: Sendable {
  static let pollInterval: Duration = .milliseconds(20)
  /// A new process that ended at its start this often will not get ready.
  static let failedStartsMax = 3

  /// What is still to happen.
  struct Outstanding: Equatable {
    /// Processes that are not ready yet.
    var starting: [ServiceInstance] = []
    /// Processes that have not ended yet.
    var ending: [ServiceInstance] = []

    var isNone: Bool { starting.isEmpty && ending.isEmpty }
  }

  let layout: SuiteLayout
  /// The suite before the change.
  let before: SuiteDescription
  private let began = ContinuousClock.now

  init(_ options: SuiteOptions) throws {
    layout = options.layout
    before = try options.running()
  }

  /// The time since the change was made.
  var time: String { began.duration(to: .now).formattedSeconds }

  /// What is desired now, by all who ask.
  func desired() throws -> DesiredState { try DesiredState.read(layout.desired) }

  /// Changes what is desired.
  func request(_ edit: (inout DesiredState) throws -> Void) throws {
    try DesiredState.change(on: layout, edit)
    guard kill(before.pid, SIGUSR1) == 0 else { throw stopped }
  }

  /// Waits until nothing is outstanding of what is still to happen to the suite, and says what happens.
  ///
  /// Throws what `outstanding` throws, `changeFailed` when a process does not start or the time is over, and
  /// `notRunning` when the suite stops.
  func wait(
    _ patience: Patience,
    _ outstanding: (SuiteDescription) throws -> Outstanding
  ) async throws {
    let deadline = ContinuousClock.now + .seconds(patience.timeout)
    var last = before
    while true {
      guard let suite = SuiteDescription.running(on: layout), suite.pid == before.pid else {
        throw stopped
      }
      tell(last, suite)
      last = suite
      let rest: Outstanding
      do {
        rest = try outstanding(suite)
      } catch  where SuiteDescription.running(on: layout) == nil {
        throw stopped
      }
      if rest.isNone { return }
      for instance in rest.starting {
        guard let process = suite[instance], process.failedStarts >= Self.failedStartsMax else {
          continue
        }
        throw SupervisionError(
          .changeFailed,
          "\(instance) does not start, after \(process.failedStarts) attempts: "
            + "\(process.failure ?? "for no known reason") (it goes on being tried)"
        )
      }
      guard ContinuousClock.now < deadline else { throw late(rest, suite, patience) }
      try await Task.sleep(for: Self.pollInterval)
    }
  }

  private func tell(_ before: SuiteDescription, _ now: SuiteDescription) {
    for process in now.processes {
      let former = before[process.instance]
      if process.state == .draining, former?.state != .draining {
        Output.line("\(process.instance) finishes its requests")
      }
      if let address = process.address, former?.run != process.run || former?.isReady != true {
        Output.line("\(process.instance) is ready at \(address)")
      }
    }
    for process in before.processes where now[process.instance] == nil {
      Output.line("\(process.instance) has ended")
    }
  }

  private var stopped: SupervisionError {
    SupervisionError(.notRunning, "the suite on \(layout.home) has stopped")
  }

  private func late(
    _ rest: Outstanding,
    _ suite: SuiteDescription,
    _ patience: Patience
  ) -> SupervisionError {
    let reasons =
      rest.starting.map { instance in
        let process = suite[instance]
        let failure = process?.failure.map { ": \($0)" } ?? ""
        return "\(instance) is \(process?.state.rawValue ?? "not there")\(failure)"
      }
      + rest.ending.map { "\($0) is \(suite[$0]?.state.rawValue ?? "gone")" }
    return SupervisionError(
      .changeFailed,
      "not done after \(patience.timeout) s: \(reasons.joined(separator: "; "))"
    )
  }
}
