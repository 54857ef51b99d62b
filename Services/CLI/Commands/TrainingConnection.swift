import ArgumentParser
import NIOPosix
import RPC
import ServiceAPI
import Supervision

/// Where the training service is.
struct TrainingConnection: ParsableArguments {
  @OptionGroup var suite: SuiteOptions

  @Option(
    help: ArgumentHelp(
      "The training service's address (default: the running suite's).",
      valueName: "host:port"
    )
  )
  var training: String?

  /// Calls the training service and closes the connection again.
  func call<Result: Sendable>(
    _ body: (TrainingV1.TrainingClient) async throws -> Result
  ) async throws -> Result {
    let (host, port) = try address()
    let channel = RPCChannel(
      host: host,
      port: port,
      group: MultiThreadedEventLoopGroup.singleton
    )
    do {
      let result = try await body(TrainingV1.TrainingClient(channel))
      await channel.close()
      return result
    } catch let error as RPCError {
      await channel.close()
      throw GatewayClient.Failure(description: error.message)
    } catch {
      await channel.close()
      throw error
    }
  }

  private func address() throws -> (String, Int) {
    guard let training else {
      return ("127.0.0.1", try suite.running()[ServiceInstance(.training)]?.ports?.rpc ?? 0)
    }
    guard let colon = training.lastIndex(of: ":"), colon != training.startIndex,
      let port = UInt16(training[training.index(after: colon)...])
    else { throw ValidationError("--training \(training) is not host:port") }
    return (String(training[..<colon]), Int(port))
  }
}

extension TrainingV1.JobState {
  /// The state as users say it.
  var word: String {
    switch self {
    case .queued: "queued"
    case .running: "running"
    case .succeeded: "succeeded"
    case .failed: "failed"
    case .cancelled: "cancelled"
    default: "unknown"
    }
  }

  /// The state that a word means.
  init?(word: String) {
    let states: [Self] = [.queued, .running, .succeeded, .failed, .cancelled]
    guard let state = states.first(where: { $0.word == word }) else { return nil }
    self = state
  }

  /// Whether nothing can follow.
  var isFinal: Bool { [.succeeded, .failed, .cancelled].contains(self) }
}

extension TrainingV1.TrainingTask {
  /// The task as users say it.
  var word: String {
    switch self {
    case .ner: "ner"
    case .classify: "classify"
    case .chat: "chat"
    default: "unknown"
    }
  }
}

extension TrainingV1.AttemptOutcome {
  /// The outcome as users say it.
  var word: String {
    switch self {
    case .running: "running"
    case .succeeded: "succeeded"
    case .failed: "failed"
    case .cancelled: "cancelled"
    case .interrupted: "interrupted"
    default: "unknown"
    }
  }
}
