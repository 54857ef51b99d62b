package import RPC

/// What a status alone does not tell, in the trailing metadata of a call that failed.
package enum FailureReason: String, Sendable, CaseIterable {
  /// With RESOURCE_EXHAUSTED: the disk or a quota is full, and later is no better than now.
  case storageFull = "storage-full"

  /// The metadata's name.
  static let name = "llmos-reason"

  /// The metadata that says so.
  package var metadata: Metadata {
    var metadata = Metadata()
    metadata.add(rawValue, for: Self.name)
    return metadata
  }
}

extension RPCError {
  /// Why the call failed, if more is known than the status.
  package var reason: FailureReason? {
    metadata.first(FailureReason.name).flatMap(FailureReason.init(rawValue:))
  }
}
