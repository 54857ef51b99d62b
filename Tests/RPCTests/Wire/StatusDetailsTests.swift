import Testing

@testable import RPC

/// `grpc-status-details-bin` beside status and message.
@Suite(.timeLimit(.minutes(5))) struct StatusDetailsTests {
  private func trailers(_ error: RPCError, _ trailing: Metadata = Metadata()) -> [HeaderField] {
    var fields: [HeaderField] = []
    StatusWire.append(error, trailing: trailing, to: &fields, maxListBytes: 8192)
    return fields
  }

  private func received(_ fields: [HeaderField]) -> RPCError? {
    guard case .failure(let error)? = StatusWire.outcome(of: fields) else { return nil }
    return error
  }

  @Test func `details cross the wire`() {
    let fields = trailers(RPCError(.notFound, "gone", details: [8, 5, 0, 255]))
    #expect(fields.first("grpc-status-details-bin") == "CAUA/w")
    let error = received(fields)
    #expect(error?.code == .notFound)
    #expect(error?.details == [8, 5, 0, 255])
    #expect(error?.metadata.firstBytes("grpc-status-details-bin") == [8, 5, 0, 255])
  }

  @Test func `an error without details sends none`() {
    let fields = trailers(RPCError(.notFound, "gone"))
    #expect(fields.map(\.name) == ["grpc-status", "grpc-message"])
    #expect(received(fields)?.details == [])
  }

  @Test func `an error that goes on has its details once`() throws {
    var metadata = Metadata()
    metadata.add("v", for: "k")
    let first = trailers(RPCError(.aborted, "x", details: [1, 2], metadata: metadata))
    let passedOn = trailers(try #require(received(first)))
    #expect(passedOn == first)
  }

  @Test func `details that a handler set as trailing metadata are read too`() {
    var trailing = Metadata()
    trailing.add([7], for: "grpc-status-details-bin")
    #expect(received(trailers(RPCError(.aborted, "x"), trailing))?.details == [7])
    let both = received(trailers(RPCError(.aborted, "x", details: [9]), trailing))
    #expect(both?.metadata.allBytes("grpc-status-details-bin") == [[9]])
  }

  @Test func `details that are too long give way to a status`() {
    let long = [UInt8](repeating: 1, count: 10_000)
    let fields = trailers(RPCError(.aborted, "x", details: long))
    #expect(fields.first("grpc-status") == "8")
    #expect(fields.listSize < 8192)
  }

  @Test func `details that are not base64 are left out`() {
    let error = received([
      HeaderField("grpc-status", "5"), HeaderField("grpc-status-details-bin", "!"),
    ])
    #expect(error?.code == .notFound)
    #expect(error?.details == [])
  }
}
