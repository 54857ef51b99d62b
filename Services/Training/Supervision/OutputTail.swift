/// The end of what a process wrote on its standard error.
struct OutputTail: Sendable {
  /// How much is kept.
  static let bytesMax = 16 << 10
  /// How much of it goes into a message.
  static let messageBytesMax = 1 << 10

  private var bytes: [UInt8] = []

  mutating func add(_ more: some Sequence<UInt8>) {
    bytes += more
    // Trimmed now and then: each byte is moved a bounded number of times.
    if bytes.count > 2 * Self.bytesMax { bytes.removeFirst(bytes.count - Self.bytesMax) }
  }

  /// The last lines, as many as fit into a message; nil if nothing was written.
  var lastLines: String? {
    let lines = bytes.suffix(Self.bytesMax).split(separator: UInt8(ascii: "\n"))
    var kept: [Substring] = []
    var room = Self.messageBytesMax
    for line in lines.reversed() {
      let text = String(decoding: line.prefix(Self.messageBytesMax), as: UTF8.self)
      room -= text.utf8.count + 1
      guard room >= 0 || kept.isEmpty else { break }
      kept.append(text[...])
    }
    return kept.isEmpty ? nil : kept.reversed().joined(separator: "\n")
  }
}
