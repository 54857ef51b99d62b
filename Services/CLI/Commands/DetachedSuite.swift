import Supervision
import SystemPackage

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A suite whose supervisor runs in the background, in a session of its own.
struct DetachedSuite: Sendable {
  static let startTimeout: Duration = SuiteSupervisor.readyTimeout * 3
  /// Longer than the waves of services take together when each has requests to finish.
  static let stopTimeout: Duration = .seconds(90)
  static let pollInterval: Duration = .milliseconds(20)

  let layout: SuiteLayout

  private var log: FilePath { layout.logs.appending("supervisor.log") }

  /// Runs `llmos` again with `arguments` but `--detach`, and returns when that suite is ready.
  ///
  /// Throws `alreadyRunning` if a suite runs that has other numbers of processes than `replicas` asks for.
  func start(_ replicas: [ReplicaCount], arguments: [String]) async throws {
    if let suite = SuiteDescription.running(on: layout) {
      for asked in replicas {
        let actual = suite.replicas[asked.service] ?? 1
        guard actual == asked.count else {
          let name = asked.service.rawValue
          throw SupervisionError(
            .alreadyRunning,
            "llmos already runs at \(suite.gateway) with \(name)=\(actual); "
              + "llmos scale \(name)=\(asked.count) changes that"
          )
        }
      }
      Output.line("llmos already runs at \(suite.gateway)")
      return
    }
    try layout.create()
    let began = ContinuousClock.now
    let pid = try spawn(
      arguments: arguments.filter { $0 != "--detach" } + ["--own-session"]
    )
    while began.duration(to: .now) < Self.startTimeout {
      if let suite = SuiteDescription.running(on: layout) {
        let time = began.duration(to: .now).formattedSeconds
        Output.line("llmos is ready at \(suite.gateway) (after \(time))")
        return
      }
      var status: CInt = 0
      if waitpid(pid, &status, WNOHANG) == pid {
        let log = (try? String(contentsOfFile: log.string, encoding: .utf8)) ?? ""
        throw SupervisionError(
          .startFailed,
          log.split(separator: "\n").last.map(String.init) ?? "the suite did not start"
        )
      }
      try await Task.sleep(for: Self.pollInterval)
    }
    kill(pid, SIGTERM)
    throw SupervisionError(.startFailed, "the suite was not ready after \(Self.startTimeout)")
  }

  /// Asks the supervisor to stop and returns when it has: none of its services is left then.
  func stop() async throws {
    guard SuiteLock.isHeld(layout.lock) else { return }
    let deadline = ContinuousClock.now + Self.stopTimeout
    var asked = false
    while SuiteLock.isHeld(layout.lock) {
      // A suite that is only just starting has no description yet: wait for it, then ask.
      if !asked, let suite = SuiteDescription.running(on: layout) {
        asked = kill(suite.pid, SIGTERM) == 0
      }
      guard ContinuousClock.now < deadline else {
        throw SupervisionError(.stopFailed, "the suite still runs after \(Self.stopTimeout)")
      }
      try await Task.sleep(for: Self.pollInterval)
    }
  }

  private static func openDescriptors() throws -> [CInt] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { CInt($0) }
  }

  /// Starts this executable with its output in the supervisor's log.
  private func spawn(arguments: [String]) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log.string, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    // A caller that reads our output to its end must not wait for the suite: hand on no other descriptor.
    for descriptor in try Self.openDescriptors() where descriptor > 2 {
      posix_spawn_file_actions_addclose(&actions, descriptor)
    }
    let command = Executables.own
    var words = ([command.string] + arguments).map { strdup($0) } + [nil]
    defer { words.forEach { free($0) } }
    var pid: pid_t = 0
    let result = posix_spawn(&pid, command.string, &actions, nil, &words, environ)
    guard result == 0 else {
      throw SupervisionError(.startFailed, "cannot run \(command): \(Errno(rawValue: result))")
    }
    return pid
  }
}
