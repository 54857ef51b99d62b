/// Why something could not be counted or reported.
package struct ReportError: Error, Sendable, CustomStringConvertible {
  /// The kind of error.
  package enum Code: Sendable, Hashable {
    /// True and predicted values do not fit together, or a value is outside its range.
    case invalidArgument
    /// There are more different labels than a report may have.
    case limitExceeded
  }

  /// The kind of error.
  package let code: Code
  /// The operation and the values, for people.
  package let message: String
  /// The error below this one, if there is one.
  package let cause: (any Error)?

  /// Makes an error.
  package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.cause = cause
  }

  /// The message.
  package var description: String { message }
}

/// The bounds of what comes from outside.
package enum ReportLimits {
  /// The most different labels or types of one report.
  package static let labelsMax = 1 << 16
  /// The most decimal places.
  package static let digitsMax = 17
  /// The most points drawn of one curve; longer ones are thinned.
  package static let curvePointsMax = 1_000
  /// The most curves of one drawing.
  package static let curvesMax = 16
}
