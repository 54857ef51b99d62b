import DataService
import Foundation
import Logging
import Registry
import ServiceKit
import Synchronization
import Testing

@Suite struct DataManagementTests {
  @Test func `At start, models are imported, logged and counted; a bad folder is passed over`()
    async throws
  {
    let manager = FileManager.default
    let root = manager.temporaryDirectory.path + "/data-\(UUID().uuidString)"
    defer { try? manager.removeItem(atPath: root) }
    try manager.createDirectory(atPath: "\(root)/models", withIntermediateDirectories: true)
    for name in ["damaged", "support-chat"] {
      try manager.copyItem(
        atPath: "\(demoModels)/support-chat",
        toPath: "\(root)/models/\(name)"
      )
    }
    try manager.removeItem(atPath: "\(root)/models/damaged/tokenizer.json")

    let lines = LogLines()
    let metrics = MetricsRegistry()
    let registry = try await DataManagement.open(
      in: "\(root)/store",
      metrics: metrics,
      logger: lines.logger
    ).registry
    try await DataManagement.importModels(
      in: "\(root)/models",
      into: registry,
      logger: lines.logger
    )
    try await DataManagement.importModels(
      in: "\(root)/models",
      into: registry,
      logger: lines.logger
    )

    let about = { (model: String) in lines.all.filter { $0.contains(model) } }
    #expect(about("damaged").count == 2)
    #expect(about("damaged").allSatisfy { $0.contains("tokenizer.json is missing") })
    #expect(about("support-chat@1").count == 1)
    #expect(about("registered already").count == 1)
    let exposition = metrics.exposition()
    for line in [
      "llmos_registry_models 1", "llmos_registry_versions 1",
      "llmos_registry_imports_total{result=\"added\"} 1",
      "llmos_registry_imports_total{result=\"failed\"} 2",
    ] {
      #expect(exposition.split(separator: "\n").contains(Substring(line)), "\(exposition)")
    }
    try await registry.close()
  }
}

/// Keeps the lines that are logged.
private final class LogLines: LogSink {
  private let lines = Mutex<[String]>([])

  var all: [String] { lines.withLock { $0 } }

  var logger: Logger {
    Logger(label: "test") { _ in
      LineLogHandler(service: "llmos-data", format: .text, level: .info, sink: self)
    }
  }

  func write(_ line: [UInt8]) {
    lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
  }
}
