import Testing

@testable import RPC

@Suite(.timeLimit(.minutes(5))) struct MetadataTests {
  @Test func `names are lower case and values keep their order`() {
    var metadata = Metadata()
    metadata.add("1", for: "X-Key")
    metadata.add("2", for: "x-key")
    metadata.add([1, 2], for: "Blob-Bin")
    metadata.add([], for: "blob-bin")
    #expect(metadata.first("x-key") == "1")
    #expect(metadata.all("x-key") == ["1", "2"])
    #expect(metadata.firstBytes("blob-bin") == [1, 2])
    #expect(metadata.allBytes("blob-bin") == [[1, 2], []])
    #expect(metadata.first("absent") == nil)
    metadata.remove("X-KEY")
    #expect(metadata.all("x-key").isEmpty)
  }

  @Test func `a name may be asked for in any case`() {
    var metadata = Metadata()
    metadata.add("1", for: "x-key")
    metadata.add([1], for: "blob-bin")
    #expect(metadata.first("X-Key") == "1" && metadata.all("X-Key") == ["1"])
    #expect(metadata.firstBytes("Blob-Bin") == [1] && metadata.allBytes("Blob-Bin") == [[1]])
    #expect(metadata.first("X-Other") == nil && metadata.firstBytes("X-Key") == nil)
  }

  @Test func `metadata survives the way over header fields`() throws {
    var metadata = Metadata()
    metadata.add("text with spaces", for: "a")
    metadata.add([0, 255, 44], for: "b-bin")
    metadata.add("again", for: "a")
    var fields: [HeaderField] = []
    try metadata.append(to: &fields)
    #expect(fields.map(\.name) == ["a", "b-bin", "a"])
    #expect(Metadata(fields: fields) == metadata)
  }

  @Test func `values of bytes joined by commas are split`() {
    let metadata = Metadata(fields: [HeaderField("k-bin", "AQ,Ag==, Aw")])
    #expect(metadata.allBytes("k-bin") == [[1], [2], [3]])
  }

  @Test func `a value that is not base64 is left out and the rest stays`() {
    let metadata = Metadata(fields: [
      HeaderField("k-bin", "!"), HeaderField("k-bin", "AQ"), HeaderField("t", "\u{FFFD}"),
    ])
    #expect(metadata.allBytes("k-bin") == [[1]])
    #expect(metadata.all("t") == ["\u{FFFD}"])
  }

  @Test func `what belongs to the protocol is not metadata`() {
    let metadata = Metadata(fields: [
      HeaderField(":path", "/a/b"), HeaderField("te", "trailers"),
      HeaderField("content-type", "application/grpc"), HeaderField("grpc-timeout", "1S"),
      HeaderField("grpc-status-details-bin", "AQ"), HeaderField("user-agent", "x"),
    ])
    #expect(metadata.entries.map(\.name) == ["grpc-status-details-bin", "user-agent"])
  }

  @Test(arguments: ["grpc-status", ":path", "te", "a b", "ä", "", "content-type"])
  func `names that are reserved or malformed cannot be sent`(name: String) {
    var metadata = Metadata()
    metadata.add("v", for: name)
    var fields: [HeaderField] = []
    #expect(throws: RPCError.self) { try metadata.append(to: &fields) }
  }

  @Test(arguments: ["a\nb", "é", "\u{0}"])
  func `values that are not printable ASCII cannot be sent`(value: String) {
    var metadata = Metadata()
    metadata.add(value, for: "k")
    var fields: [HeaderField] = []
    #expect(throws: RPCError.self) { try metadata.append(to: &fields) }
  }
}
