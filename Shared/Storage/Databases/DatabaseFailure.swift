/// What can be wrong with a database, as far as callers act upon it.
package enum DatabaseProblem: Sendable, CaseIterable {
  /// The file is damaged, or no database.
  case damaged
  /// The disk is full.
  case full
  /// The file or its folder may not be used so.
  case forbidden
  /// A newer release wrote it.
  case newer
  /// The task was cancelled.
  case cancelled
  /// Nothing a caller could repair.
  case failed
}

/// The error type of a module that keeps a database.
///
/// `StoreDatabase` is generic over it, so that each module gets errors of its own type from one implementation.
package protocol DatabaseFailure: Error {
  /// The error of an operation on the database.
  ///
  /// - Parameters:
  ///   - problem: what is wrong.
  ///   - message: one line for people, which names the operation.
  ///   - cause: the error underneath, if there is one.
  /// - Returns: the module's error.
  static func database(
    _ problem: DatabaseProblem,
    _ message: String,
    cause: (any Error)?
  ) -> Self
}
