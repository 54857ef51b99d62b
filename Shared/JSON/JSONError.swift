/// Where and why a text is not JSON, or exceeds `JSONLimits`.
package struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The position in the text, in bytes from 0.
  package let byte: Int
  /// The line of the position, from 1; lines end at line feeds.
  package let line: Int
  /// The position in its line, in bytes from 1.
  package let column: Int
  /// What is wrong there, for people; bounded, whatever the text holds.
  package let reason: String

  /// The reason and the position.
  package var description: String {
    "\(reason) at line \(line), column \(column) (byte \(byte))"
  }
}

/// The bounds of what is read from one text.
package enum JSONLimits {
  /// The deepest nesting of arrays and objects.
  package static let depthMax = 64
  /// The most values in one text, those in arrays and objects counted.
  ///
  /// The largest tokenizers in wide use have about two million.
  package static let valuesMax = 1 << 22
  /// The longest number.
  package static let numberBytesMax = 64
}
