import Testing

/// One row per case of a conformance run, as lines that `Tests/Interop/conformance.py` collects.
enum ConformanceTable {
  /// Which side of ours a case is about.
  enum Role: String { case client, server }

  /// Why a case fails.
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// States the result of a case; a problem fails the test, too.
  static func add(_ name: String, _ role: Role, problem: String? = nil) {
    let result = problem.map { "fail: \($0)" } ?? "pass"
    print("conformance | \(name) | \(role.rawValue) | \(result)")
    if let problem { Issue.record("\(name), \(role.rawValue): \(problem)") }
  }

  /// Runs a case and states its result.
  static func run(_ name: String, _ role: Role, _ body: () async throws -> Void) async {
    do {
      try await body()
      add(name, role)
    } catch {
      add(name, role, problem: "\(error)")
    }
  }

  /// States the results that a script prints as `ok NAME` and `fail NAME WHY`, which must be those
  /// of every case in `cases`.
  static func add(_ lines: AsyncStream<String>, _ role: Role, suffix: String, cases: [String]) async
  {
    var seen: Set<String> = []
    for await line in lines {
      let words = line.split(separator: " ", maxSplits: 2).map(String.init)
      guard words.count >= 2, ["ok", "fail"].contains(words[0]) else {
        Issue.record("\(line)")
        continue
      }
      seen.insert(words[1])
      add(
        words[1] + suffix,
        role,
        problem: words[0] == "ok" ? nil : words.dropFirst(2).joined()
      )
    }
    for name in cases where !seen.contains(name) {
      add(name + suffix, role, problem: "the script ended before")
    }
  }
}

/// Fails the case unless both are equal.
func equal<T: Equatable>(_ left: T, _ right: T, _ what: String = "") throws {
  guard left != right else { return }
  throw ConformanceTable.Failure(
    description: "\(what) \("\(left)".prefix(200)) is not \("\(right)".prefix(200))"
  )
}
