import Foundation
import Testing

@testable import ServiceKit

/// The options of a made-up service, one of every type.
enum SampleOptions {
  enum Mode: String, OptionValue, CaseIterable { case fast, exact }

  static let host = ServiceOption("rpc.host", default: "127.0.0.1", help: "Address to bind to.")
  static let port = ServiceOption(
    "rpc.port",
    default: 7101,
    in: 0...65535,
    help: "Port to listen on."
  )
  static let verbose = ServiceOption("verbose", default: false, help: "Says more.")
  static let grace = ServiceOption(
    "shutdown.grace",
    default: Duration.seconds(10),
    in: .zero ... .seconds(600),
    help: "Time for running requests."
  )
  static let limit = ServiceOption(
    "cache.bytes-max",
    default: ByteCount.mebibytes(4),
    help: "Size of the cache."
  )
  static let models = ServiceOption(
    "models",
    default: ["support-chat"],
    help: "Models to load."
  )
  static let ratio = ServiceOption("ratio", default: 0.5, in: 0...1, help: "A share.")
  static let mode = ServiceOption("mode", default: Mode.fast, help: "How to compute.")
  static let key = ServiceOption("auth.key", default: "", help: "A key.", secret: true)
  static let file = ServiceOption(
    "ports.file",
    default: Optional<String>.none,
    help: "Where to write the ports."
  )
  static let batch = ServiceOption(
    "batch.max",
    default: 8,
    in: 1...256,
    unit: "texts",
    help: "Most texts in one request."
  )

  static let all: [any DeclaredOption] = [
    host, port, verbose, grace, limit, models, ratio, mode, key, file, batch,
  ]
  static let schema = ConfigurationSchema(
    program: "llmos-sample",
    version: "1.2.3",
    summary: "an example",
    options: all
  )
}

/// A file that lives as long as the value's scope.
func withFile<R>(_ text: String, _ body: (String) throws -> R) throws -> R {
  let path = FileManager.default.temporaryDirectory
    .appendingPathComponent("llmos-kit-\(UUID().uuidString).yaml").path
  try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

func load(
  _ arguments: [String] = [],
  environment: [String: String] = [:],
  file: String? = nil
) throws -> Configuration {
  func run(_ arguments: [String]) throws -> Configuration {
    switch try SampleOptions.schema.load(arguments: arguments, environment: environment) {
    case .run(let configuration): return configuration
    case .print(let text):
      throw ServiceKitError(.runFailed, "printed instead: \(text)")
    case .healthcheck:
      throw ServiceKitError(.runFailed, "asks for the health instead")
    }
  }
  guard let file else { return try run(arguments) }
  return try withFile(file) { try run(["--config", $0] + arguments) }
}

/// The message of the error that loading must throw; `FILE` stands for the file's path.
func refusal(
  _ arguments: [String] = [],
  environment: [String: String] = [:],
  file: String? = nil
) -> String {
  func run(_ arguments: [String]) -> String {
    do {
      _ = try SampleOptions.schema.load(arguments: arguments, environment: environment)
      return "(accepted)"
    } catch {
      #expect(error.code == .invalidConfiguration)
      #expect(!error.message.contains("\n"))
      return error.message
    }
  }
  guard let file else { return run(arguments) }
  let message = try? withFile(file) { path in
    run(["--config", path] + arguments).replacingOccurrences(of: path, with: "FILE")
  }
  return message ?? "(no file)"
}
