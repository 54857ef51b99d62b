import JobStore
import Subprocess
import SystemPackage
import WorkerProtocol

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// One run of a worker.
struct WorkerProcess: Sendable {
  let executable: FilePath
  let specificationFile: String
  let stopGrace: Duration

  /// Runs until the process ends.
  ///
  /// What it tells is handed on as it arrives; while `onEvents` works, further lines wait in the pipe, and when that
  /// is full the worker does. Asked to stop, it gets SIGTERM, and SIGKILL after `stopGrace`.
  func run(
    stop: StopSignal,
    onEvents: @escaping @Sendable ([WorkerEvent]) async -> Void
  ) async throws -> WorkerEnd {
    var options = PlatformOptions()
    // Its own process group: Ctrl-C reaches the service alone.
    options.processGroupID = 0
    let teardown = [TeardownStep.gracefulShutDown(allowedDurationToNextStep: stopGrace)]
    options.teardownSequence = teardown
    let lifeline = try Self.lifeline()
    defer { try? lifeline.ours.close() }
    let result = try await Subprocess.run(
      .path(executable),
      arguments: Arguments([specificationFile]),
      platformOptions: options,
      input: .fileDescriptor(lifeline.workers, closeAfterSpawningProcess: true),
      output: .sequence,
      error: .sequence
    ) { execution in
      let output = execution.standardOutput
      let errors = execution.standardError
      return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          await stop.wait()
          if stop.reason != nil { await execution.teardown(using: teardown) }
        }
        async let tail = Self.tail(of: errors)
        var reading = Reading()
        for try await part in output {
          let events = part.withUnsafeBytes { reading.events(adding: $0) }
          if !events.isEmpty { await onEvents(events) }
        }
        reading.tail = try await tail
        group.cancelAll()
        return reading
      }
    }
    return WorkerEnd(
      status: result.terminationStatus,
      reading: result.closureResult
    )
  }

  private static func tail(of sequence: SubprocessOutputSequence) async throws -> OutputTail {
    var tail = OutputTail()
    for try await part in sequence {
      part.withUnsafeBytes { tail.add($0) }
    }
    return tail
  }

  /// The worker's standard input and our end of it, which no other child inherits: a socket pair can be made
  /// close-on-exec in one step.
  private static func lifeline() throws -> (workers: FileDescriptor, ours: FileDescriptor) {
    var ends: [CInt] = [-1, -1]
    let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw Errno(rawValue: errno) }
    return (FileDescriptor(rawValue: ends[0]), FileDescriptor(rawValue: ends[1]))
  }
}

/// What has been read of a worker's output.
struct Reading: Sendable {
  /// Set once the result is registered.
  private(set) var finished: WorkerEvent.Finished?
  /// Set if the worker said that the job cannot succeed.
  private(set) var failed: WorkerEvent.Failed?
  /// Lines that were no events, or too long.
  var badLines: Int { malformedLines + splitter.overlongLines }
  /// The end of its standard error.
  var tail = OutputTail()
  private var malformedLines = 0
  private var splitter = LineSplitter()

  /// The events that some bytes complete, those aside that end the attempt.
  mutating func events(adding bytes: some Sequence<UInt8>) -> [WorkerEvent] {
    var events: [WorkerEvent] = []
    for line in splitter.lines(adding: bytes) {
      guard let event = try? WorkerJSON.decode(WorkerEvent.self, from: line) else {
        malformedLines += 1
        continue
      }
      switch event {
      case .finished(let value): finished = value
      case .failed(let value): failed = value
      case .prepared, .step, .evaluation, .checkpoint, .log: events.append(event)
      }
    }
    return events
  }
}

/// How a worker ended.
struct WorkerEnd: Sendable {
  let status: TerminationStatus
  let reading: Reading

  /// What that means for the attempt.
  ///
  /// - Parameters:
  ///   - reason: why it was asked to stop, if it was.
  ///   - memoryBytes: its memory as estimated; 0: unknown.
  ///   - reports: the names of the reports it left.
  /// - Returns: the end that is recorded.
  func attemptEnd(
    reason: StopSignal.Reason?,
    memoryBytes: UInt64,
    reports: [String]
  ) -> JobStore.AttemptEnd {
    if let finished = reading.finished, status == .exited(0) {
      return .succeeded(finished, reports: reports)
    }
    if let failed = reading.failed { return .failed(failed.message, isPermanent: true) }
    switch reason {
    case .cancel: return .cancelled
    case .shutdown: return .interrupted("the training service stopped")
    case nil where status == .exited(WorkerHost.unavailableExitCode):
      return .unavailable(description(memoryBytes: memoryBytes))
    case nil: return .failed(description(memoryBytes: memoryBytes), isPermanent: false)
    }
  }

  private func description(memoryBytes: UInt64) -> String {
    var text: String
    switch status {
    case .exited(0): text = "the worker ended without a result"
    case .exited(let code): text = "the worker exited with code \(code)"
    case .signaled(SIGKILL):
      text =
        "the worker was killed by signal 9 (SIGKILL): most likely the machine ran out of memory"
      if memoryBytes > 0 { text += "; its estimate was \(memoryBytes >> 20) MiB" }
    case .signaled(let signal):
      text = "the worker was killed by signal \(signal)"
      if let name = Self.signalNames[signal] { text += " (\(name))" }
    }
    if let lines = reading.tail.lastLines { text += ": \(lines)" }
    return text
  }

  private static let signalNames: [CInt: String] = [
    SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
    SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGSEGV: "SIGSEGV",
    SIGPIPE: "SIGPIPE", SIGTERM: "SIGTERM", SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ",
  ]
}
