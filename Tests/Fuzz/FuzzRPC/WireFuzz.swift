@testable import FuzzedRPC

/// The parsers of what gRPC puts into HTTP/2.
enum WireFuzz {
  /// Messages do not depend on where DATA was cut, and what is inflated stays within the limit.
  static func messages(_ bytes: [UInt8]) {
    var input = FuzzInput(bytes)
    let cuts = input.byte()
    let decodings: [MessageDecoding] = [.none, .gzip, .unknown("x")]
    let decoding = decodings[input.number(below: 3)]
    let whole = Array(input.bytes)
    let expected = deframe([whole], decoding)
    let pieces = deframe(input.pieces(cuts), decoding)
    precondition(expected == pieces, "messages depend on how they are cut")
    gzip(whole)
    health(whole)
  }

  /// The one protobuf message that is read by hand.
  private static func health(_ bytes: [UInt8]) {
    guard let reply = try? bytes.withUnsafeBytes({ try HealthReply(serialized: $0) }) else {
      return
    }
    var output: [UInt8] = []
    try? reply.serialize(into: &output)
    let again = try? output.withUnsafeBytes { try HealthReply(serialized: $0) }
    precondition(again?.isServing == reply.isServing, "health differs")
  }

  private struct Deframed: Equatable {
    var messages: [[UInt8]] = []
    var error: StatusCode?
    var isMidMessage = false
  }

  private static func deframe(_ pieces: [[UInt8]], _ decoding: MessageDecoding) -> Deframed {
    var result = Deframed()
    var deframer = MessageDeframer(maxMessageBytes: 10_000, decoding: decoding)
    do throws(RPCError) {
      for piece in pieces {
        try deframer.append(piece) { message throws(RPCError) in
          precondition(message.bytes.count <= 10_000, "a message above the limit")
          let plain = try message.plain(maxBytes: 10_000)
          precondition(plain.count <= 10_000, "an inflated message above the limit")
          result.messages.append(Array(plain))
        }
        precondition(deframer.partialBytes <= 10_005, "\(deframer.partialBytes) bytes are held")
      }
      result.isMidMessage = deframer.isMidMessage
    } catch {
      result.error = error.code
    }
    return result
  }

  private static func gzip(_ bytes: [UInt8]) {
    _ = try? Gzip.decompress(bytes[...], maxBytes: 5_000)
    guard let compressed = Gzip.compress(bytes[...], prefix: 0) else { return }
    let back = try? Gzip.decompress(compressed[...], maxBytes: bytes.count)
    precondition(back == bytes, "gzip: what was compressed does not come back")
  }

  /// What is received as metadata can be sent, and comes back the same.
  static func metadata(_ bytes: [UInt8]) {
    let names = ["a", "b-bin", "grpc-status-details-bin", "x-request-id", "grpc-x", ":path"]
    var fields: [HeaderField] = []
    for line in bytes.split(separator: 0, omittingEmptySubsequences: false) {
      let name = names[Int(line.first ?? 0) % names.count]
      fields.append(HeaderField(name, String(decoding: line.dropFirst(), as: UTF8.self)))
    }
    let metadata = Metadata(fields: fields)
    var sent: [HeaderField] = []
    if (try? metadata.append(to: &sent)) != nil {
      let back = Metadata(fields: sent)
      precondition(back.entries.count == metadata.entries.count, "entries are lost")
      for (first, second) in zip(metadata.entries, back.entries) {
        if case .bytes = first.value { precondition(first == second, "bytes differ") }
      }
    }
    if let decoded = Base64.decode(bytes) {
      let text = Base64.encode(decoded)
      precondition(Base64.decode(Array(text.utf8)) == decoded, "base64 differs")
    }
    precondition(Base64.decode(Array(Base64.encode(bytes).utf8)) == bytes, "base64 differs")
  }

  /// Texts of headers: never a trap, and what was encoded comes back.
  static func text(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    _ = PercentEncoding.decode(text)
    let encoded = PercentEncoding.encode(text)
    precondition(encoded.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "not printable")
    precondition(PercentEncoding.decode(encoded) == text, "percent-encoding differs")
    if let nanoseconds = TimeoutHeader.decode(text) {
      let again = TimeoutHeader.decode(TimeoutHeader.encode(nanoseconds: nanoseconds))
      precondition(again ?? 0 >= nanoseconds, "a timeout of \(nanoseconds) ns becomes shorter")
    }
    _ = MessageEncoding.gzip.isAccepted(by: text)
    _ = MessageDecoding(header: text)
    let parts = text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
    let trailers = [
      HeaderField("grpc-status", String(parts[0])),
      HeaderField("grpc-message", parts.count > 1 ? String(parts[1]) : ""),
      HeaderField("grpc-status-details-bin", text),
    ]
    guard case .failure(let error)? = StatusWire.outcome(of: trailers) else { return }
    precondition(error.code != .ok, "a failure with the status OK")
    var fields: [HeaderField] = []
    StatusWire.append(error, trailing: error.metadata, to: &fields, maxListBytes: 2_000)
    precondition(fields.listSize <= 2_000 || fields.count <= 2, "trailers above the limit")
    precondition(fields.first("grpc-status") != nil, "no status")
  }
}
