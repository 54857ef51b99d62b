import Subprocess

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Starts the processes of a suite in order, restarts those that end, makes them what is desired, and stops them
/// in reverse order.
package actor SuiteSupervisor {
  /// How long a process may take from its start until it is ready; then it is ended.
  package static let readyTimeout: Duration = .seconds(120)
  /// How often a starting process is asked whether it is ready.
  static let readyPollInterval: Duration = .milliseconds(10)

  private enum Phase {
    /// Services are started wave by wave; then `up`, or `stopping` if one fails.
    case starting
    /// Processes are kept as they are desired.
    case up
    /// No process is started any more.
    case stopping
  }

  private struct Member {
    var process: SuiteProcess
    /// Runs the process again and again until it is cancelled.
    let task: Task<Void, Never>
  }

  private let options: Options
  private let probe: ReadinessProbe
  private let report: @Sendable (SupervisionEvent) -> Void
  private var phase = Phase.starting
  private var desired: DesiredState
  /// No more than services and replicas are possible.
  private var members: [ServiceInstance: Member] = [:]
  /// The ports each process got; a restart asks for the same again.
  private var ports: [ServiceInstance: ServicePorts] = [:]
  /// What the file of addresses says.
  private var addresses: [String]?
  /// Starts of processes so far.
  private var runs = 0

  /// A supervisor that has started nothing; `report` is called in order, from the actor.
  package init(
    options: Options,
    probe: ReadinessProbe,
    report: @escaping @Sendable (SupervisionEvent) -> Void
  ) {
    self.options = options
    self.probe = probe
    self.report = report
    desired = options.desired
  }

  /// Runs the suite until the task is cancelled, then stops it.
  ///
  /// Throws `alreadyRunning`, or `startFailed` when a process does not get ready at its first start; no process
  /// is left in either case.
  package func run() async throws {
    try options.layout.create()
    let lock = try SuiteLock(options.layout.lock)
    defer { lock.release() }
    RunFile.remove(options.layout.description)
    do {
      try await start()
      await untilCancelled()
    } catch {
      await stop()
      if Task.isCancelled, error is CancellationError { return }
      throw error
    }
    await stop()
  }

  /// Reads what is desired, and does it; a file that cannot be used is told of and replaced by what was desired
  /// before.
  package func reload() {
    do throws(SupervisionError) {
      let state = try DesiredState.read(options.layout.desired)
      // One that is to be replaced up to a run that is still to come would be replaced again and again.
      for (instance, run) in state.replaced where run > runs {
        throw SupervisionError(
          .invalidRequest,
          "\(options.layout.desired): run \(run) of \(instance) is to be replaced, the last one is \(runs)"
        )
      }
      desired = state
      reconcile()
    } catch {
      report(.ignored(error))
      try? desired.restore(on: options.layout)
    }
  }

  private func start() async throws {
    let began = ContinuousClock.now
    try desired.write(to: options.layout.desired)
    let first = desired.instances
    for wave in Service.waves {
      let instances = first.filter { wave.contains($0.service) }
      for instance in instances { launch(instance) }
      for instance in instances { try await awaitReady(instance) }
    }
    phase = .up
    try description.write(to: options.layout.description)
    report(.ready(description, after: ContinuousClock.now - began))
    // What was asked for meanwhile.
    reconcile()
  }

  private func stop() async {
    phase = .stopping
    // The description goes first: from now on nobody should find this suite.
    RunFile.remove(options.layout.description)
    for wave in Service.waves.reversed() {
      let tasks = members.filter { wave.contains($0.key.service) }.map(\.value.task)
      for task in tasks { task.cancel() }
      for task in tasks { await task.value }
    }
    RunFile.remove(options.layout.addresses)
    RunFile.remove(options.layout.desired)
  }

  // MARK: - Desired and actual

  private func reconcile() {
    guard phase == .up else { return }
    let actions = desired.actions(on: members.values.map(\.process))
    var drained: [Task<Void, Never>] = []
    for action in actions {
      switch action {
      case .start(let instance): launch(instance)
      case .drain(let instance):
        members[instance]?.process.state = .draining
        if let member = members[instance] {
          report(.draining(member.process))
          drained.append(member.task)
        }
      }
    }
    // The description also when nothing is to be done: it says what is desired.
    publish()
    // Only now, when the gateway can know that they take no more requests.
    for task in drained { task.cancel() }
  }

  /// After a process has become another: does what that makes possible, and writes it down.
  private func settle() {
    if phase == .up { reconcile() } else { publish() }
  }

  private func launch(_ instance: ServiceInstance) {
    runs += 1
    let process = SuiteProcess(instance, run: runs, ports: ports[instance])
    // The task begins when this actor is free, and so finds the member.
    members[instance] = Member(
      process: process,
      task: Task { await self.keepRunning(instance) }
    )
  }

  private var description: SuiteDescription {
    SuiteDescription(
      pid: ProcessInfo.processInfo.processIdentifier,
      replicas: Dictionary(
        uniqueKeysWithValues: Service.allCases.map { ($0, desired.count(of: $0)) }
      ),
      processes: members.values.map(\.process)
    )
  }

  /// Writes down what has changed, for the gateway first.
  private func publish() {
    guard phase != .stopping else { return }
    do throws(SupervisionError) {
      let present = members.values.map(\.process).filter { $0.instance.service == .inference }
        .sorted { $0.instance < $1.instance }.compactMap(\.address)
      if present != addresses {
        try RunFile.write(lines: present, to: options.layout.addresses)
        addresses = present
      }
      if phase == .up { try description.write(to: options.layout.description) }
    } catch {
      report(.ignored(error))
    }
  }

  // MARK: - One process

  /// Runs a process again and again until the task is cancelled.
  private func keepRunning(_ instance: ServiceInstance) async {
    var policy = RestartPolicy()
    while !Task.isCancelled {
      let command = begin(instance)
      let began = ContinuousClock.now
      let ended = await runOnce(instance, command)
      if Task.isCancelled { break }
      let delay = policy.delay(afterUptime: ContinuousClock.now - began)
      hasFailed(instance, ended: ended, delay: delay)
      try? await Task.sleep(for: delay)
    }
    members[instance] = nil
    RunFile.remove(options.layout.portsFile(instance))
    if phase == .up { report(.gone(instance)) }
    settle()
  }

  private func begin(_ instance: ServiceInstance) -> ServiceProcess {
    if members[instance]?.process.state == .restarting {
      runs += 1
      members[instance]?.process.run = runs
      members[instance]?.process.state = .starting
    }
    RunFile.remove(options.layout.portsFile(instance))
    publish()
    return options.process(instance, ports: ports, desired: desired)
  }

  private func hasStarted(_ instance: ServiceInstance, pid: Int32) {
    members[instance]?.process.pid = pid
    members[instance]?.process.startedAtMs = Int64(Date().timeIntervalSince1970 * 1000)
    publish()
  }

  private func isReady(_ instance: ServiceInstance, on found: ServicePorts) {
    // One that drains already stays so.
    guard var process = members[instance]?.process, process.state == .starting else { return }
    ports[instance] = found
    process.ports = found
    process.state = .ready
    process.failedStarts = 0
    process.failure = nil
    members[instance]?.process = process
    if phase == .up { report(.isReady(process)) }
    // A surplus process may have waited for it.
    settle()
  }

  private func hasFailed(_ instance: ServiceInstance, ended: String, delay: Duration) {
    guard var process = members[instance]?.process else { return }
    if process.isReady {
      process.failure = "it ended (\(ended))"
    } else {
      process.failedStarts += 1
      let lastLine = LogTail.lastLine(of: options.layout.logFile(instance)).map { ": \($0)" } ?? ""
      process.failure = "it ended at its start (\(ended))\(lastLine)"
    }
    process.state = .restarting
    process.restarts += 1
    process.pid = nil
    process.startedAtMs = nil
    members[instance]?.process = process
    // At the first start, that is the error of the whole.
    if phase == .up || process.failedStarts == 0 {
      report(.restarting(instance, ended: ended, delay: delay))
    }
    settle()
  }

  /// Runs a process until it ends; says how it did.
  private func runOnce(_ instance: ServiceInstance, _ command: ServiceProcess) async -> String {
    do {
      return try await withThrowingTaskGroup(of: TerminationStatus?.self) { group in
        group.addTask {
          try await command.run { await self.hasStarted(instance, pid: $0) }
        }
        group.addTask {
          try await self.untilReady(instance)
          return nil
        }
        defer { group.cancelAll() }
        while let ended = try await group.next() {
          if let ended { return "\(ended)" }
        }
        return "no status"
      }
    } catch let error as SupervisionError {
      return error.message
    } catch {
      return "cannot run \(command.executable): \(error)"
    }
  }

  private nonisolated func untilReady(_ instance: ServiceInstance) async throws {
    let file = options.layout.portsFile(instance)
    let deadline = ContinuousClock.now + Self.readyTimeout
    while ContinuousClock.now < deadline {
      if let found = PortsReport.read(file), let admin = found.admin,
        await probe.isReady(adminPort: admin)
      {
        await isReady(instance, on: found.ports)
        return
      }
      try await Task.sleep(for: Self.readyPollInterval)
    }
    throw SupervisionError(.startFailed, "it was not ready after \(Self.readyTimeout)")
  }

  /// Returns when a process is ready; throws why its first start failed.
  private func awaitReady(_ instance: ServiceInstance) async throws {
    // Ends: a start fails or succeeds within `readyTimeout`.
    while let process = members[instance]?.process, !process.isReady {
      if process.failedStarts > 0 {
        throw SupervisionError(
          .startFailed,
          "\(instance) did not start: \(process.failure ?? "for no known reason")"
        )
      }
      try await Task.sleep(for: Self.readyPollInterval)
    }
  }

  private func untilCancelled() async {
    let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
    // The stream never yields; cancellation of the task ends it.
    for await _ in stream {}
    continuation.finish()
  }
}
