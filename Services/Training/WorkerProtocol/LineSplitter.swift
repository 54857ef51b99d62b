/// Cuts a stream of bytes into lines; a line that is too long is left out and counted.
///
/// Memory is bounded by the longest line, whatever the writer sends.
package struct LineSplitter: Sendable {
  /// The longest line of a worker: an evaluation has some hundred metrics.
  package static let workerLineBytesMax = 1 << 16

  /// Lines left out because they were too long.
  package private(set) var overlongLines = 0
  private let lineBytesMax: Int
  private var line: [UInt8] = []
  private var isOverlong = false

  /// A splitter of lines of at most so many bytes.
  package init(lineBytesMax: Int = LineSplitter.workerLineBytesMax) {
    precondition(lineBytesMax > 0, "a line must have room for a byte")
    self.lineBytesMax = lineBytesMax
  }

  /// Takes the next bytes and returns the lines that they complete, without their line breaks; empty lines are left
  /// out.
  package mutating func lines(adding bytes: some Sequence<UInt8>) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    for byte in bytes {
      if byte == UInt8(ascii: "\n") {
        if let line = endLine() { lines.append(line) }
      } else if line.count < lineBytesMax {
        line.append(byte)
      } else {
        isOverlong = true
      }
    }
    return lines
  }

  /// What follows the last line break, at the end of the stream; nil if nothing does.
  package mutating func end() -> [UInt8]? { endLine() }

  private mutating func endLine() -> [UInt8]? {
    defer {
      line.removeAll(keepingCapacity: true)
      isOverlong = false
    }
    if isOverlong {
      overlongLines += 1
      return nil
    }
    return line.isEmpty ? nil : line
  }
}
