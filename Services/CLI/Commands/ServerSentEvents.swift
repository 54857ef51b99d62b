/// Cuts a byte stream into the data of server-sent events (WHATWG HTML, section 9.2), as much of it as the gateway
/// sends: `data:` lines and comments.
struct ServerSentEvents {
  /// A line longer than this ends the stream.
  static let lineBytesMax = 1 << 20

  /// A line without an end.
  struct LineTooLong: Error {}

  private var line: [UInt8] = []

  /// The data of the events that `bytes` complete.
  mutating func append(_ bytes: some Sequence<UInt8>) throws -> [String] {
    var events: [String] = []
    for byte in bytes {
      guard byte != UInt8(ascii: "\n") else {
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        if line.starts(with: Array("data: ".utf8)) {
          events.append(String(decoding: line.dropFirst(6), as: UTF8.self))
        }
        line.removeAll(keepingCapacity: true)
        continue
      }
      guard line.count < Self.lineBytesMax else { throw LineTooLong() }
      line.append(byte)
    }
    return events
  }
}
