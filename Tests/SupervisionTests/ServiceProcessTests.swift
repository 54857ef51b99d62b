import Foundation
import Subprocess
import Synchronization
import SystemPackage
import Testing

@testable import Supervision

@Suite("A service's process", .timeLimit(.minutes(5)))
struct ServiceProcessTests {
  private func bash(_ script: String, in folder: TemporaryFolder) -> ServiceProcess {
    ServiceProcess(
      executable: "/bin/sh",
      arguments: ["-c", script],
      log: folder.path.appending("service.log"),
      grace: .seconds(10)
    )
  }

  @Test("says how it ended, and its output is in the log")
  func ends() async throws {
    let folder = try TemporaryFolder()
    let status = try await bash("echo out; echo err >&2; exit 3", in: folder).run()
    #expect(status == .exited(3))
    let log = try String(
      contentsOfFile: folder.path.appending("service.log").string,
      encoding: .utf8
    )
    #expect(log == "out\nerr\n")
  }

  @Test("is asked to stop when its task is cancelled")
  func stops() async throws {
    let folder = try TemporaryFolder()
    let process = bash("trap 'echo stopped; exit 0' TERM; echo ready; read -r line", in: folder)
    let log = folder.path.appending("service.log")
    let task = Task { try? await process.run() }
    while LogTail.lastLine(of: log) != "ready" {
      try Task.checkCancellation()
      await Task.yield()
    }
    task.cancel()
    _ = await task.value
    #expect(LogTail.lastLine(of: log) == "stopped")
  }

  @Test("its id is told when it has started")
  func id() async throws {
    let folder = try TemporaryFolder()
    let told = Mutex<Int32>(0)
    _ = try await bash("echo $$", in: folder).run { pid in told.withLock { $0 = pid } }
    #expect(LogTail.lastLine(of: folder.path.appending("service.log")) == "\(told.withLock { $0 })")
  }

  @Test("one that does not end within its grace and the margin is killed")
  func killed() async throws {
    let folder = try TemporaryFolder()
    let process = ServiceProcess(
      executable: "/bin/sh",
      arguments: ["-c", "trap '' TERM; echo ready; while :; do read -r line; done"],
      log: folder.path.appending("service.log"),
      grace: .zero - ServiceProcess.stopMargin
    )
    let task = Task { try await process.run() }
    while LogTail.lastLine(of: folder.path.appending("service.log")) != "ready" {
      try Task.checkCancellation()
      await Task.yield()
    }
    task.cancel()
    let status = try await task.value
    #expect(status == .signaled(9))
  }

  @Test("its standard input stays open for as long as it runs")
  func inputStaysOpen() async throws {
    let folder = try TemporaryFolder()
    // `read -t` fails with a status over 128 on a time-out and with 1 at end-of-file.
    let process = ServiceProcess(
      executable: "/bin/bash",
      arguments: ["-c", "read -t 0.05; exit $?"],
      log: folder.path.appending("service.log"),
      grace: .seconds(10)
    )
    let status = try await process.run()
    guard case .exited(let code) = status else {
      Issue.record("ended by \(status)")
      return
    }
    #expect(code > 128)
  }

  @Test("an executable that is not there is an error that names it")
  func missing() async throws {
    let folder = try TemporaryFolder()
    let process = ServiceProcess(
      executable: "/nonexistent/llmos-data",
      arguments: [],
      log: folder.path.appending("a.log"),
      grace: .seconds(10)
    )
    await #expect(throws: (any Error).self) { try await process.run() }
  }
}
