import Foundation
import Subprocess
import Synchronization
import SystemPackage
import Testing

@testable import ServiceKit

/// One run of the sample service as a process of its own.
final class SampleRun: Sendable {
  private struct State: Sendable {
    var text = ""
    var waiters: [(needle: String, found: OneShot<Bool>)] = []
  }

  private let state = Mutex(State())
  private let ended = OneShot<Int32>()
  private let identifier = OneShot<ProcessIdentifier>()
  private let inputMayEnd = OneShot<Void>()
  let portsPath: String

  /// Starts the sample with these arguments, on free ports.
  init(
    _ arguments: [String],
    environment: [String: String] = [:],
    portsPath: String? = nil
  ) throws {
    self.portsPath =
      portsPath
      ?? FileManager.default.temporaryDirectory
      .appendingPathComponent("llmos-ports-\(UUID().uuidString).json").path
    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let executable = FilePath(tests).removingLastComponent().appending("ServiceKitSample")
    let all =
      ["--ports.file", self.portsPath]
      + (arguments.contains { $0.hasPrefix("--rpc.port") } ? [] : ["--rpc.port=0"])
      + (arguments.contains { $0.hasPrefix("--admin.port") } ? [] : ["--admin.port=0"])
      + arguments
    let variables = environment.map { (Environment.Key(stringLiteral: $0.key), $0.value) }
    Task {
      await run(
        .path(executable),
        Arguments(all),
        .custom(Dictionary(variables, uniquingKeysWith: { $1 }))
      )
    }
  }

  private func run(
    _ executable: Executable,
    _ arguments: Arguments,
    _ environment: Environment
  ) async {
    do {
      let result = try await Subprocess.run(
        executable,
        arguments: arguments,
        environment: environment,
        input: .inputWriter,
        output: .sequence,
        error: .combinedWithOutput
      ) { execution in
        identifier.succeed(execution.processIdentifier)
        try await withThrowingTaskGroup(of: Void.self) { group in
          group.addTask { [inputMayEnd] in
            try? await inputMayEnd.value()
            try await execution.standardInputWriter.finish()
          }
          for try await part in execution.standardOutput {
            received(part.withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
          }
          group.cancelAll()
        }
      }
      switch result.terminationStatus {
      case .exited(let code): finished(code)
      case .signaled(let signal): finished(-signal)
      }
    } catch {
      Issue.record("the sample cannot run: \(error)")
      identifier.fail(error)
      finished(-1000)
    }
  }

  private func received(_ text: String) {
    state.withLock { state in
      state.text += text
      for waiter in state.waiters where state.text.contains(waiter.needle) {
        waiter.found.succeed(true)
      }
      state.waiters.removeAll { state.text.contains($0.needle) }
    }
  }

  private func finished(_ code: Int32) {
    ended.succeed(code)
    state.withLock { state in
      for waiter in state.waiters { waiter.found.succeed(false) }
      state.waiters = []
    }
  }

  /// Everything the process has written.
  var output: String { state.withLock { $0.text } }

  /// The last line the process has written.
  var lastLine: String { output.split(separator: "\n").last.map { String($0) } ?? "" }

  /// Waits until the output contains `needle`; false if the process ended without it.
  func wrote(_ needle: String) async throws -> Bool {
    let found = OneShot<Bool>()
    state.withLock { state in
      if state.text.contains(needle) {
        found.succeed(true)
      } else {
        state.waiters.append((needle, found))
      }
    }
    return try await found.value()
  }

  /// Waits for the end: the exit code, or minus the number of the signal that killed it.
  func exitCode() async throws -> Int32 { try await ended.value() }

  /// What the ports file says, once the service is ready.
  func ports() async throws -> [String: Int] {
    #expect(try await wrote("msg=ready"), "\(output)")
    let data = try #require(FileManager.default.contents(atPath: portsPath))
    let object = try JSONSerialization.jsonObject(with: data)
    return try #require(object as? [String: Int])
  }

  var hasPortsFile: Bool { FileManager.default.fileExists(atPath: portsPath) }

  /// Sends a signal to the process, which must still run.
  func send(signal: Int32) async throws {
    kill(try await identifier.value().value, signal)
  }

  /// Ends the process's standard input.
  func closeInput() { inputMayEnd.succeed(()) }
}
