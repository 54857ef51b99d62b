import Foundation
import NIOPosix
import RPC
import Trainer
import WorkerProtocol
import WorkerTransfer

/// The process `llmos-training-worker`: one attempt of one training job.
///
/// Started by the training service with the file of a specification; see `WorkerHost` for how the two follow each
/// other. Exit codes: 0 the result is registered, 1 stopped as asked, 2 the job cannot succeed (told as an event
/// before), 3 a defect, 75 the machine or the data-management service failed and another attempt may succeed.
package enum WorkerMain {
  /// The executable's name.
  package static let name = "llmos-training-worker"

  private static let exitStopped: Int32 = 1
  private static let exitHopeless: Int32 = 2
  private static let exitDefect: Int32 = 3
  private static let exitUnavailable = WorkerHost.unavailableExitCode

  /// Whether the process was started by the worker's name, `program` being its first argument.
  package static func isNamed(by program: String?) -> Bool {
    guard let last = program?.split(separator: "/").last else { return false }
    return last == name
  }

  /// Runs the attempt that the process's arguments name, and ends the process.
  package static func runAndExit() async -> Never {
    exit(await run())
  }

  private static func run() async -> Int32 {
    do {
      let specification = try WorkerHost.specification()
      try WorkerHost.followService()
      try WorkerHost.lock(specification)
      try WorkerHost.tell(.log(.init(level: .info, message: "worker is process \(getpid())")))
      let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
      let finished = try await JobRun(specification, group: group).run()
      try WorkerHost.tell(.finished(finished))
      return 0
    } catch let error as TransferError {
      return end(error.message, code(of: error))
    } catch let error as TrainerError {
      return end(error.message, code(of: error))
    } catch let error as WorkerProtocolError where error.code == .system {
      return end("\(error)", exitUnavailable)
    } catch let error as CocoaError where error.code == .fileWriteOutOfSpace {
      return end("\(error)", exitUnavailable)
    } catch {
      return end("\(error)", exitDefect)
    }
  }

  private static func end(_ message: String, _ code: Int32) -> Int32 {
    if code == exitHopeless { try? WorkerHost.tell(.failed(.init(message: message))) }
    FileHandle.standardError.write(Data("\(message)\n".utf8))
    return code
  }

  private static func code(of error: TransferError) -> Int32 {
    switch error.code {
    case .refused: exitHopeless
    case .cancelled: exitStopped
    case .unavailable: exitUnavailable
    // Without a cause something is larger than allowed, as it would be the next time.
    case .storage: error.cause == nil ? exitDefect : exitUnavailable
    }
  }

  private static func code(of error: TrainerError) -> Int32 {
    switch error.code {
    case .invalidConfiguration, .invalidData, .invalidModel, .memoryLimit, .checkpointMismatch,
      .diverged:
      exitHopeless
    case .cancelled: exitStopped
    case .storage: error.cause == nil ? exitDefect : exitUnavailable
    case .internal: exitDefect
    }
  }
}
