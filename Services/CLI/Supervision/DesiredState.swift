import Files
package import SystemPackage

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// What a user wants a running suite to be, in `run/desired.json`.
///
/// The command line changes the file and then signals the supervisor, which makes the suite so.
package struct DesiredState: Sendable, Equatable {
  /// The largest file that is read.
  package static let bytesMax = 1 << 16

  /// How many processes each service has.
  package private(set) var replicas = Dictionary(
    uniqueKeysWithValues: Service.allCases.map { ($0, 1) }
  )
  /// Processes that others are to take the place of: by name, the last run that is not wanted any more.
  package var replaced: [ServiceInstance: Int] = [:]

  /// One process of each service.
  package init() {}

  /// Asks for a number of processes of a service.
  package mutating func set(_ count: ReplicaCount) { replicas[count.service] = count.count }

  /// How many processes of a service are wanted.
  package func count(of service: Service) -> Int { replicas[service] ?? 1 }

  /// Every process that is wanted, in the order in which they start.
  package var instances: [ServiceInstance] {
    Service.allCases.flatMap { ServiceInstance.all(of: $0, count: count(of: $0)) }
  }
}

extension DesiredState: Codable {
  private enum CodingKeys: String, CodingKey, CaseIterable {
    case replicas, replaced
  }

  /// Reads a state; names and numbers that no suite can have are errors that say so.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    for (name, count) in try container.decodeIfPresent([String: Int].self, forKey: .replicas) ?? [:]
    {
      set(try ReplicaCount(parsing: "\(name)=\(count)"))
    }
    for (name, run) in try container.decodeIfPresent([String: Int].self, forKey: .replaced) ?? [:] {
      guard let instance = ServiceInstance(name) else {
        throw SupervisionError(.invalidRequest, "no suite has a process '\(name)'")
      }
      replaced[instance] = run
    }
  }

  /// The state in `path`.
  ///
  /// Throws `files`, naming the path, if it is missing, too large or not such a state.
  package static func read(_ path: FilePath) throws(SupervisionError) -> DesiredState {
    do {
      let file = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
      defer { try? file.close() }
      var bytes = [UInt8](repeating: 0, count: bytesMax + 1)
      let count = try bytes.withUnsafeMutableBytes {
        try file.read(fromAbsoluteOffset: 0, into: $0)
      }
      guard count <= bytesMax else {
        throw SupervisionError(.files, "\(path) has more than \(bytesMax) bytes")
      }
      return try JSONDecoder().decode(DesiredState.self, from: Data(bytes[..<count]))
    } catch let error as SupervisionError where error.code == .files {
      throw error
    } catch {
      throw SupervisionError(.files, "cannot use \(path): \(Self.reason(error))", cause: error)
    }
  }

  private static func reason(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    switch error {
    case .typeMismatch(_, let context), .valueNotFound(_, let context),
      .keyNotFound(_, let context), .dataCorrupted(let context):
      let path = context.codingPath.map(\.stringValue).joined(separator: ".")
      return (path.isEmpty ? "" : "\(path): ") + context.debugDescription
    @unknown default: return "\(error)"
    }
  }

  /// Writes the state in one step.
  package func write(to path: FilePath) throws(SupervisionError) {
    try RunFile.write(self, to: path)
  }

  /// Changes the state of the suite on `layout` as one step among several who do so.
  ///
  /// Blocks for as long as others change it. Throws what `edit` throws, or `files`.
  package static func change(
    on layout: SuiteLayout,
    _ edit: (inout DesiredState) throws -> Void
  ) throws {
    let lock = try FileLock<SupervisionError>.waitFor(layout.desiredLock)
    defer { withExtendedLifetime(lock) {} }
    var state = try read(layout.desired)
    try edit(&state)
    try state.write(to: layout.desired)
  }

  /// Writes the state in the place of one that cannot be used, unless somebody is changing it.
  func restore(on layout: SuiteLayout) throws(SupervisionError) {
    guard let lock = try FileLock<SupervisionError>.acquire(layout.desiredLock) else { return }
    defer { withExtendedLifetime(lock) {} }
    // It may have become a good one, which a signal will follow.
    if (try? DesiredState.read(layout.desired)) == nil { try write(to: layout.desired) }
  }
}
