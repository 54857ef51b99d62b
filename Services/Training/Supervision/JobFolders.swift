import Dispatch
import Files
import WorkerProtocol

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The folders of the jobs: `<id>/worker.json`, `<id>/work/` until the job has ended, `<id>/reports/`.
///
/// File work runs on a queue of its own, one piece after another, so that no caller's thread blocks.
package struct JobFolders: Sendable {
  /// Reports of one job.
  package static let reportsMax = 32
  /// Bytes of one report.
  package static let reportBytesMax = 1 << 20

  let root: String
  private let queue = DispatchQueue(label: "llmos.job-folders")

  /// The folders below `root`, an absolute path.
  package init(root: String) {
    self.root = root
  }

  /// The folder of a job.
  func folder(_ id: String) -> String { "\(root)/\(id)" }

  /// Makes a job's folder and writes what its worker is started with; returns the file.
  func prepare(_ specification: WorkerSpecification) async throws -> String {
    try await onQueue {
      try FileManager.default.createDirectory(
        atPath: specification.workFolder,
        withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700]
      )
      let path = WorkerSpecification.path(inFolder: specification.folder)
      try AtomicFile<WorkerProtocolError>.write(try WorkerJSON.encode(specification), to: path)
      return path
    }
  }

  /// Removes what only another attempt would need.
  func discardWork(of id: String) async throws {
    try await onQueue { [self] in
      let manager = FileManager.default
      for name in ["work", "worker.json", "worker.lock"] {
        let path = "\(folder(id))/\(name)"
        if manager.fileExists(atPath: path) { try manager.removeItem(atPath: path) }
      }
    }
  }

  /// Removes the folders of jobs that were forgotten.
  package func remove(_ ids: [String]) async throws {
    try await onQueue { [self] in
      for id in ids where FileManager.default.fileExists(atPath: folder(id)) {
        try FileManager.default.removeItem(atPath: folder(id))
      }
    }
  }

  /// Removes the folders of no known job, and the work of those that have ended.
  func sweep(known: Set<String>, open: Set<String>) async throws {
    let names = try await onQueue { [root] in
      let manager = FileManager.default
      try manager.createDirectory(
        atPath: root,
        withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700]
      )
      return try manager.contentsOfDirectory(atPath: root)
    }
    // Only what a store could have named: nobody else's files are removed.
    let folders = names.filter { $0.hasPrefix("job-") }
    try await remove(folders.filter { !known.contains($0) })
    for id in folders where known.contains(id) && !open.contains(id) {
      try await discardWork(of: id)
    }
  }

  /// The names of a job's reports.
  package func reports(of id: String) async throws -> [String] {
    try await onQueue { [self] in
      let path = "\(folder(id))/reports"
      guard FileManager.default.fileExists(atPath: path) else { return [] }
      let names = try FileManager.default.contentsOfDirectory(atPath: path)
      return Array(names.filter { !$0.hasPrefix(".") }.sorted().prefix(Self.reportsMax))
    }
  }

  /// A report as text; nil if there is none of the name, or it is too large.
  package func report(_ name: String, of id: String) async throws -> String? {
    guard try await reports(of: id).contains(name) else { return nil }
    return try await onQueue { [self] in
      let path = "\(folder(id))/reports/\(name)"
      let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
      guard let size, size <= Self.reportBytesMax else { return nil }
      return FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }
  }

  private func onQueue<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result(catching: body)) }
    }
  }
}
