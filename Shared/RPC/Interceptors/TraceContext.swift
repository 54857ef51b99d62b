/// A request's place in a trace (W3C Trace Context): what its `traceparent` and `tracestate` say.
///
/// It is passed on as it came: nothing here records spans of its own.
public struct TraceContext: Sendable, Equatable {
  /// The context of the call that the current task works for.
  @TaskLocal public static var current: TraceContext?

  /// The metadata name of the parent.
  public static let parentName = "traceparent"
  /// The metadata name of what vendors add.
  public static let stateName = "tracestate"
  /// Longest parent taken, in bytes; version 00 has 55.
  public static let parentBytesMax = 256
  /// Longest state passed on, in bytes (the specification asks for at least 512).
  public static let stateBytesMax = 512

  /// The `traceparent`.
  public let parent: String
  /// The `tracestate`; nil if absent or malformed.
  public let state: String?

  /// Reads a context; nil for a parent that is malformed.
  public init?(parent: String, state: String? = nil) {
    guard Self.isValid(parent: parent) else { return nil }
    self.parent = parent
    self.state = state.flatMap { Self.isValid(state: $0) ? $0 : nil }
  }

  /// Reads the context of a call's metadata; nil without one, or where it is malformed.
  public init?(_ metadata: Metadata) {
    let parents = metadata.all(Self.parentName)
    guard let parent = parents.first, parents.count == 1 else { return nil }
    let states = metadata.all(Self.stateName)
    self.init(parent: parent, state: states.isEmpty ? nil : states.joined(separator: ","))
  }

  /// The begin of a trace, with ids of its own and not sampled.
  public static func fresh() -> TraceContext {
    var generator = SystemRandomNumberGenerator()
    // An id of zeros alone is malformed.
    let ids = (0..<3).map { _ in hexadecimal(UInt64.random(in: 1...(.max), using: &generator)) }
    return TraceContext(checked: "00-\(ids[0])\(ids[1])-\(ids[2])-00")
  }

  private init(checked parent: String) {
    self.parent = parent
    state = nil
  }

  /// The trace's id: 32 hexadecimal digits.
  public var traceID: Substring { parent.dropFirst(3).prefix(32) }

  /// Adds the context to the metadata of an outgoing call.
  public func add(to metadata: inout Metadata) {
    metadata.add(parent, for: Self.parentName)
    if let state { metadata.add(state, for: Self.stateName) }
  }

  /// Whether a parent has the form `00-<trace>-<parent>-<flags>` in lower-case hexadecimal, ids not
  /// zero; later versions may append fields.
  private static func isValid(parent: String) -> Bool {
    guard parent.utf8.count <= parentBytesMax else { return false }
    let parts = parent.utf8.split(
      separator: UInt8(ascii: "-"),
      maxSplits: 4,
      omittingEmptySubsequences: false
    )
    guard parts.count >= 4, zip(parts, [2, 32, 16, 2]).allSatisfy({ $0.count == $1 }),
      parts.prefix(4).allSatisfy({ $0.allSatisfy(isLowerHexadecimal) })
    else { return false }
    let zero = UInt8(ascii: "0")
    guard !parts[1].allSatisfy({ $0 == zero }), !parts[2].allSatisfy({ $0 == zero }) else {
      return false
    }
    let version = Array(parts[0])
    if version == Array("ff".utf8) { return false }
    if version == Array("00".utf8) { return parts.count == 4 }
    return parent.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }
  }

  private static func isValid(state: String) -> Bool {
    (1...stateBytesMax).contains(state.utf8.count)
      && state.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
  }

  private static func isLowerHexadecimal(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
  }

  private static func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
