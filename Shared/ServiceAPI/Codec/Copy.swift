package import CProtobufC

/// Copies the fields of a protobuf-c struct into Swift values.
///
/// The struct's bytes have passed `WireCheck`, so strings are valid UTF-8.
package enum Copy {
  /// Copies a string; nil is the empty one.
  package static func string(_ pointer: UnsafePointer<CChar>?) -> String {
    guard let pointer, pointer[0] != 0 else { return "" }
    return String(cString: pointer)
  }

  /// Copies a list of strings.
  package static func strings(
    _ list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?,
    _ count: Int
  ) -> [String] {
    UnsafeBufferPointer(start: list, count: list == nil ? 0 : count).map { string($0) }
  }

  /// Copies bytes.
  package static func bytes(_ value: ProtobufCBinaryData) -> [UInt8] {
    array(value.data, value.len)
  }

  /// Copies numbers.
  package static func array<C: BitwiseCopyable>(
    _ first: UnsafeMutablePointer<C>?,
    _ count: Int
  )
    -> [C]
  {
    Array(UnsafeBufferPointer(start: first, count: first == nil ? 0 : count))
  }

  /// Copies values that Swift holds in another form.
  package static func array<C, Value>(
    _ first: UnsafeMutablePointer<C>?,
    _ count: Int,
    _ convert: (C) -> Value
  ) -> [Value] {
    UnsafeBufferPointer(start: first, count: first == nil ? 0 : count).map(convert)
  }

  /// Copies a message that may be absent.
  package static func message<C, Value>(
    _ pointer: UnsafeMutablePointer<C>?,
    _ convert: (UnsafePointer<C>) -> Value
  ) -> Value? {
    pointer.map { convert(UnsafePointer($0)) }
  }

  /// Copies a list of messages.
  package static func messages<C, Value>(
    _ list: UnsafeMutablePointer<UnsafeMutablePointer<C>?>?,
    _ count: Int,
    _ convert: (UnsafePointer<C>) -> Value
  ) -> [Value] {
    guard let list else { return [] }
    var values: [Value] = []
    values.reserveCapacity(count)
    for index in 0..<count {
      guard let element = list[index] else { continue }
      values.append(convert(UnsafePointer(element)))
    }
    return values
  }
}
