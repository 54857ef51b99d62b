import Foundation
import NIOPosix
import RPC
import Trainer
import WorkerProtocol
import WorkerTransfer

/// The executable `llmos-training-worker`: one attempt of one training job.
///
/// Started by the training service with the file of a specification; see `WorkerHost` for how the two follow each
/// other. Exit codes: 0 the result is registered, 1 stopped as asked, 2 the job cannot succeed (told as an event
/// before), 75 another attempt may succeed.
@main
enum WorkerMain {
  private static let exitStopped: Int32 = 1
  private static let exitHopeless: Int32 = 2
  private static let exitTemporary: Int32 = 75

  static func main() async {
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
      return end(error.message, code(of: error.code))
    } catch let error as TrainerError {
      return end(error.message, code(of: error.code))
    } catch {
      return end("\(error)", exitTemporary)
    }
  }

  private static func end(_ message: String, _ code: Int32) -> Int32 {
    if code == exitHopeless { try? WorkerHost.tell(.failed(.init(message: message))) }
    FileHandle.standardError.write(Data("\(message)\n".utf8))
    return code
  }

  private static func code(of code: TransferError.Code) -> Int32 {
    switch code {
    case .refused: exitHopeless
    case .cancelled: exitStopped
    case .unavailable, .storage: exitTemporary
    }
  }

  private static func code(of code: TrainerError.Code) -> Int32 {
    switch code {
    case .invalidConfiguration, .invalidData, .invalidModel, .memoryLimit, .checkpointMismatch,
      .diverged:
      exitHopeless
    case .cancelled: exitStopped
    case .storage, .internal: exitTemporary
    }
  }
}
