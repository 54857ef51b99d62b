/// Encodes the texts of a request: some at a time, within a bound on their tokens.
enum TextEncoding {
  /// Texts being encoded at once, per request.
  static let encodingsMax = 8
  /// Most tokens of all texts of a request.
  static let requestTokensMax = 256 << 10

  /// What `encode` makes of each text, in order.
  ///
  /// `tokens` says how many an encoded text has.
  static func all<Encoded: Sendable>(
    _ texts: [String],
    tokens: (Encoded) -> Int,
    encode: @escaping @Sendable (_ text: String, _ index: Int) async throws -> Encoded
  ) async throws -> [Encoded] {
    try await withThrowingTaskGroup(of: (Int, Encoded).self) { group in
      var results = [Encoded?](repeating: nil, count: texts.count)
      var total = 0
      for (index, text) in texts.enumerated() {
        if index >= encodingsMax, let (done, result) = try await group.next() {
          total = try sum(total, tokens(result))
          results[done] = result
        }
        group.addTask { (index, try await encode(text, index)) }
      }
      while let (done, result) = try await group.next() {
        total = try sum(total, tokens(result))
        results[done] = result
      }
      return results.compactMap(\.self)
    }
  }

  private static func sum(_ total: Int, _ count: Int) throws(GatewayError) -> Int {
    guard total + count <= requestTokensMax else {
      throw .invalid(
        "inputs",
        "string_above_max_length",
        "Invalid 'inputs': the texts have more than \(requestTokensMax) tokens together."
      )
    }
    return total + count
  }
}
