import JSON

/// A value of a service config with its place, which the errors about it name.
struct ConfigNode {
  /// The longest duration, in seconds (google.protobuf.Duration).
  private static let secondsMax = 315_576_000_000.0

  let path: String
  let value: JSONValue

  /// What is wrong with the value.
  func error(_ reason: String) -> RPCError {
    RPCError(.invalidArgument, "service config: \(path.isEmpty ? "text" : path): \(reason)")
  }

  private func mismatch(_ expected: String) -> RPCError {
    error("\(value.summary), expected \(expected)")
  }

  // MARK: Values

  /// Every member; an error unless it is an object.
  func members() throws(RPCError) -> [(key: String, node: ConfigNode)] {
    guard case .object(let object) = value else { throw mismatch("an object") }
    return object.members.map { key, value in
      (key, ConfigNode(path: below(key.excerpt(40)), value: value))
    }
  }

  /// The member of that name; nil if it is absent or null.
  subscript(_ key: String) -> ConfigNode? {
    get throws(RPCError) {
      guard case .object(let object) = value else { throw mismatch("an object") }
      return object[key].map { ConfigNode(path: below(key), value: $0) }
    }
  }

  /// The member of that name, which must be there.
  func required(_ key: String) throws(RPCError) -> ConfigNode {
    guard let node = try self[key] else { throw error("'\(key)' is missing") }
    return node
  }

  /// The elements; an error unless it is an array.
  func elements() throws(RPCError) -> [ConfigNode] {
    guard case .array(let values) = value else { throw mismatch("an array") }
    return values.enumerated().map { ConfigNode(path: "\(path)[\($0)]", value: $1) }
  }

  func string() throws(RPCError) -> String {
    guard case .string(let text) = value else { throw mismatch("a string") }
    return text
  }

  func boolean() throws(RPCError) -> Bool {
    guard case .boolean(let value) = value else { throw mismatch("a boolean") }
    return value
  }

  /// A whole number; protobuf's JSON may write it as a string or with a fraction of zero.
  func integer(in range: ClosedRange<Int>) throws(RPCError) -> Int {
    let number: Int? =
      switch value {
      case .integer(let value): value
      case .unsigned: .max
      case .number(let value): Int(exactly: value)
      case .string(let text): Int(text)
      default: nil
      }
    guard let number, range.contains(number) else {
      let bound = range.upperBound == .max ? "" : " to \(range.upperBound)"
      throw mismatch("a whole number from \(range.lowerBound)\(bound)")
    }
    return number
  }

  /// A number above zero.
  func positive() throws(RPCError) -> Double {
    let number: Double? =
      switch value {
      case .integer(let value): Double(value)
      case .unsigned(let value): Double(value)
      case .number(let value): value
      default: nil
      }
    guard let number, number > 0 else { throw mismatch("a number above zero") }
    return number
  }

  /// A duration as protobuf's JSON writes it, such as `0.1s`.
  func duration(allowsZero: Bool = false) throws(RPCError) -> Duration {
    let expected = "a duration \(allowsZero ? "not below" : "above") zero, such as \"1.5s\""
    guard case .string(let text) = value, text.utf8.last == UInt8(ascii: "s"),
      let duration = Self.duration(text.utf8.dropLast()), allowsZero || duration > .zero
    else { throw mismatch(expected) }
    return duration
  }

  /// Seconds with up to nine digits of fraction.
  private static func duration(_ text: Substring.UTF8View) -> Duration? {
    let parts = text.split(
      separator: UInt8(ascii: "."),
      maxSplits: 1,
      omittingEmptySubsequences: false
    )
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    guard parts.allSatisfy({ (1...12).contains($0.count) && $0.allSatisfy(digits.contains) }),
      let whole = parts.first.flatMap({ Int64(String($0) ?? "") }), Double(whole) <= secondsMax
    else { return nil }
    guard parts.count == 2 else { return .seconds(whole) }
    guard parts[1].count <= 9, let fraction = Int64(String(parts[1]) ?? "") else { return nil }
    let scale = (parts[1].count..<9).reduce(Int64(1)) { scale, _ in scale * 10 }
    return .seconds(whole) + .nanoseconds(fraction * scale)
  }

  /// Status codes by name, in any case, or by number.
  func statusCodes() throws(RPCError) -> Set<StatusCode> {
    var codes: Set<StatusCode> = []
    for element in try elements() {
      let code: StatusCode? =
        switch element.value {
        case .integer(let number): StatusCode(rawValue: number)
        case .string(let name): StatusCode.allCases.first { $0.name == name.uppercased() }
        default: nil
        }
      guard let code else { throw element.mismatch("a status code, such as \"UNAVAILABLE\"") }
      codes.insert(code)
    }
    return codes
  }

  private func below(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
}
