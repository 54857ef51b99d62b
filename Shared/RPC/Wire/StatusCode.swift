/// The status a call ends with, as gRPC numbers them.
public enum StatusCode: Int, Sendable, Hashable, CaseIterable {
  /// The call succeeded.
  case ok = 0
  /// The caller gave the call up.
  case cancelled = 1
  /// An error whose kind is not known.
  case unknown = 2
  /// The request is wrong whatever the state of the system.
  case invalidArgument = 3
  /// The deadline passed before the call ended.
  case deadlineExceeded = 4
  /// A thing the request names does not exist.
  case notFound = 5
  /// A thing the request would create exists already.
  case alreadyExists = 6
  /// The caller may not do this.
  case permissionDenied = 7
  /// A quota, queue or size limit is used up.
  case resourceExhausted = 8
  /// The system is not in the state the request needs.
  case failedPrecondition = 9
  /// The call was given up because of a conflict; it may be tried again at a higher level.
  case aborted = 10
  /// The request reaches past a valid range.
  case outOfRange = 11
  /// The method is not known here.
  case unimplemented = 12
  /// An invariant is broken.
  case `internal` = 13
  /// The service cannot be reached now; try again.
  case unavailable = 14
  /// Data is lost or damaged.
  case dataLoss = 15
  /// The caller did not say who it is.
  case unauthenticated = 16

  /// The name gRPC's documents and tools use, such as `DEADLINE_EXCEEDED`.
  public var name: String {
    switch self {
    case .ok: "OK"
    case .cancelled: "CANCELLED"
    case .unknown: "UNKNOWN"
    case .invalidArgument: "INVALID_ARGUMENT"
    case .deadlineExceeded: "DEADLINE_EXCEEDED"
    case .notFound: "NOT_FOUND"
    case .alreadyExists: "ALREADY_EXISTS"
    case .permissionDenied: "PERMISSION_DENIED"
    case .resourceExhausted: "RESOURCE_EXHAUSTED"
    case .failedPrecondition: "FAILED_PRECONDITION"
    case .aborted: "ABORTED"
    case .outOfRange: "OUT_OF_RANGE"
    case .unimplemented: "UNIMPLEMENTED"
    case .internal: "INTERNAL"
    case .unavailable: "UNAVAILABLE"
    case .dataLoss: "DATA_LOSS"
    case .unauthenticated: "UNAUTHENTICATED"
    }
  }
}

extension StatusCode: CustomStringConvertible {
  /// The name gRPC's documents use.
  public var description: String { name }
}
