import CNghttp2

/// Header lists that never change, in nghttp2's form and never freed: nothing of them is copied.
///
/// `@unchecked Sendable`: nothing is written after `init`.
struct StaticFields: @unchecked Sendable {
  let pairs: UnsafePointer<nghttp2_nv>
  let count: Int

  /// What a response begins with.
  static let responseHead = StaticFields([(":status", "200"), ("content-type", "application/grpc")])
  /// The trailers of a call that succeeded and says no more.
  static let okStatus = StaticFields([("grpc-status", "0")])

  private init(_ fields: [(String, String)]) {
    let flags = NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue
    let pairs = UnsafeMutablePointer<nghttp2_nv>.allocate(capacity: fields.count)
    for (index, (name, value)) in fields.enumerated() {
      (pairs + index).initialize(
        to: nghttp2_nv(
          name: Self.bytes(name),
          value: Self.bytes(value),
          namelen: name.utf8.count,
          valuelen: value.utf8.count,
          flags: UInt8(flags)
        )
      )
    }
    self.pairs = UnsafePointer(pairs)
    count = fields.count
  }

  private static func bytes(_ text: String) -> UnsafeMutablePointer<UInt8> {
    let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: text.utf8.count)
    _ = UnsafeMutableBufferPointer(start: bytes, count: text.utf8.count)
      .initialize(from: text.utf8)
    return bytes
  }
}
