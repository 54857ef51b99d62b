import Glibc
import Store

/// Cuts a stream of bytes into lines, in memory bounded by the longest line allowed.
///
/// Lines end with LF or CR LF; a byte-order mark of UTF-8 before the first is dropped.
struct LineReader {
  /// A line, without its end.
  enum Line {
    case bytes(UnsafeRawBufferPointer)
    case tooLong
  }

  private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  private let bytesMax: Int
  private var pending: [UInt8] = []
  private var isTooLong = false
  private var number: UInt64 = 0

  init(bytesMax: Int) {
    self.bytesMax = bytesMax
  }

  /// Hands over the lines that end in a piece.
  mutating func consume(
    _ bytes: UnsafeRawBufferPointer,
    _ body: (Line, UInt64) throws(DataError) -> Void
  ) throws(DataError) {
    var rest = bytes
    while let base = rest.baseAddress, !rest.isEmpty {
      guard let found = memchr(base, 0x0A, rest.count) else {
        hold(rest)
        return
      }
      let length = UnsafeRawPointer(found) - base
      let part = UnsafeRawBufferPointer(rebasing: rest[..<length])
      rest = UnsafeRawBufferPointer(rebasing: rest[(length + 1)...])
      if pending.isEmpty && !isTooLong {
        try emit(part, body)
      } else {
        hold(part)
        try emitPending(body)
      }
    }
  }

  /// Hands over the last line, if it has no end.
  mutating func finish(_ body: (Line, UInt64) throws(DataError) -> Void) throws(DataError) {
    if !pending.isEmpty || isTooLong { try emitPending(body) }
  }

  private mutating func hold(_ bytes: UnsafeRawBufferPointer) {
    guard !isTooLong else { return }
    // One more than allowed: the CR of a line end does not count.
    guard pending.count + bytes.count <= bytesMax + 1 else {
      pending = []
      isTooLong = true
      return
    }
    pending.append(contentsOf: bytes)
  }

  private mutating func emitPending(
    _ body: (Line, UInt64) throws(DataError) -> Void
  ) throws(DataError) {
    if isTooLong {
      isTooLong = false
      number += 1
      try body(.tooLong, number)
      return
    }
    let line = pending
    pending.removeAll(keepingCapacity: true)
    // A closure that throws a typed error does not pass through `withUnsafeBytes`; a result does.
    let result = line.withUnsafeBytes { bytes -> Result<Void, DataError> in
      do throws(DataError) {
        return .success(try emit(bytes, body))
      } catch {
        return .failure(error)
      }
    }
    try result.get()
  }

  private mutating func emit(
    _ bytes: UnsafeRawBufferPointer,
    _ body: (Line, UInt64) throws(DataError) -> Void
  ) throws(DataError) {
    number += 1
    var line = bytes
    if number == 1, line.starts(with: Self.byteOrderMark) {
      line = UnsafeRawBufferPointer(rebasing: line[Self.byteOrderMark.count...])
    }
    if line.last == 0x0D { line = UnsafeRawBufferPointer(rebasing: line.dropLast()) }
    try body(line.count > bytesMax ? .tooLong : .bytes(line), number)
  }
}

/// The text of bytes from outside; throws for what is not UTF-8 or holds a NUL.
func checkedText(_ bytes: some Collection<UInt8>) throws(RowProblem) -> String {
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw RowProblem("it is not UTF-8")
  }
  return try checkedText(text)
}

/// The text itself; throws if it holds a NUL.
func checkedText(_ text: String) throws(RowProblem) -> String {
  guard !text.utf8.contains(0) else { throw RowProblem("it holds a NUL character") }
  return text
}

extension StringProtocol {
  /// Whether there is nothing in it but ASCII white space.
  var isBlank: Bool { utf8.allSatisfy { $0 == 0x20 || (0x09...0x0D).contains($0) } }
}
