/// Why a benchmark cannot be run.
struct BenchError: Error, CustomStringConvertible {
  /// What was done, with which values, and what went wrong.
  let description: String

  init(_ description: String) { self.description = description }
}
