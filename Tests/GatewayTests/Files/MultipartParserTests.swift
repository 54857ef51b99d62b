import Testing

@testable import Gateway

@Suite("Form data") struct MultipartParserTests {
  /// A part as it was read.
  private struct Part: Equatable {
    var name: String
    var filename: String?
    var data: [UInt8] = []
    var isComplete = false
  }

  /// Reads a body in pieces of these sizes, over and over.
  private func parse(
    _ body: [UInt8],
    boundary: String = "b",
    pieces: [Int] = [.max]
  ) throws -> (parts: [Part], isComplete: Bool) {
    var parser = MultipartParser(boundary: Array(boundary.utf8))
    var parts: [Part] = []
    var position = 0
    var index = 0
    while position < body.count {
      let end = position + min(pieces[index % pieces.count], body.count - position)
      try parser.append(body[position..<end]) { event in
        switch event {
        case .part(let name, let filename): parts.append(Part(name: name, filename: filename))
        case .data(let bytes):
          #expect(!bytes.isEmpty)
          parts[parts.count - 1].data += bytes
        case .end: parts[parts.count - 1].isComplete = true
        }
      }
      position = end
      index += 1
    }
    return (parts, parser.isComplete)
  }

  private func body(_ text: String) -> [UInt8] {
    Array(text.replacing("\n", with: "\r\n").utf8)
  }

  private static let two = """
    --b
    Content-Disposition: form-data; name="purpose"

    fine-tune
    --b
    Content-Disposition: form-data; name="file"; filename="a \\"b\\".jsonl"
    Content-Type: application/octet-stream

    {"text":"a"}
    --B
    --b--
    """

  @Test("reads fields and files") func reads() throws {
    let (parts, isComplete) = try parse(body(Self.two))
    #expect(isComplete)
    #expect(
      parts == [
        Part(name: "purpose", data: Array("fine-tune".utf8), isComplete: true),
        Part(
          name: "file",
          filename: #"a "b".jsonl"#,
          data: body("{\"text\":\"a\"}\n--B"),
          isComplete: true
        ),
      ]
    )
  }

  @Test("reads the same in pieces of any size", arguments: [[1], [2], [3], [7], [1, 40, 2, 5]])
  func pieces(_ sizes: [Int]) throws {
    let whole = try parse(body(Self.two))
    let pieces = try parse(body(Self.two), pieces: sizes)
    #expect(pieces.parts == whole.parts && pieces.isComplete)
  }

  @Test("a preamble, an epilogue, padding and empty parts mean nothing") func odds() throws {
    let text = """
      preamble
      --b \t
      content-disposition:form-data;NAME=a;filename=


      --b
      Content-Disposition: form-data; name=b

      --b--
      epilogue
      """
    let (parts, isComplete) = try parse(body(text))
    #expect(isComplete && parts.map(\.name) == ["a", "b"])
    #expect(parts.map(\.data) == [[], []] && parts.allSatisfy(\.isComplete))
    #expect(parts.map(\.filename) == ["", nil])
  }

  @Test("data that looks like a delimiter is data") func lookalikes() throws {
    for data in ["\r\n--", "\r\n-", "\r", "\r\n", "\r\r\n--c", "\r\n--\r\n--c", "--c"] {
      let text = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\(data)x\r\n--b--"
      let (parts, isComplete) = try parse(Array(text.utf8), pieces: [1])
      #expect(isComplete && parts.map(\.data) == [Array("\(data)x".utf8)])
    }
  }

  @Test("what is cut off is not complete") func cut() throws {
    let bytes = body(Self.two)
    for length in 0..<bytes.count - 1 {
      #expect(try !parse(Array(bytes[..<length])).isComplete)
    }
  }

  @Test("refuses what is no form data") func refuses() throws {
    let long = String(repeating: "x", count: MultipartParser.headerBytesMax)
    let many = String(
      repeating: "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n",
      count: MultipartParser.partsMax + 1
    )
    for text in [
      "--b\r\n\r\n\r\n", "--bX\r\n", "--b\r\nContent-Disposition: attachment; name=a\r\n\r\n",
      "--b\r\nContent-Disposition: form-data\r\n\r\n", "--b\r\nX: \(long)", many,
      "--b" + String(repeating: " ", count: 100),
    ] {
      #expect(throws: MultipartError.self) { try parse(Array(text.utf8)) }
    }
    #expect(throws: MultipartError.self) {
      try parse(
        Array("--b\r\nContent-Disposition: form-data; name=a".utf8) + [0xff, 13, 10, 13, 10]
      )
    }
  }

  @Test("finds the boundary") func boundary() throws {
    for type in [
      "multipart/form-data; boundary=b", #"Multipart/Form-Data;charset=x; Boundary="b""#,
    ] {
      var parser = try MultipartParser(contentType: type)
      try parser.append(Array("--b--".utf8)) { _ in }
      #expect(parser.isComplete)
    }
    let long = String(repeating: "b", count: 71)
    for type in [
      "", "application/json", "multipart/form-data", "multipart/form-data; boundary=",
      "multipart/mixed; boundary=b", "multipart/form-data; boundary=\(long)",
      "multipart/form-data; boundary=ä",
    ] {
      #expect(throws: MultipartError.self) { try MultipartParser(contentType: type) }
    }
  }

  @Test("bodies that are changed at random are read or refused, the same in any pieces")
  func fuzz() throws {
    var random = SplitMix(state: 20_261_121)
    let seed = body(Self.two)
    let alphabet = Array("\r\n-b\"\\;=: x".utf8)
    for _ in 0..<400 {
      var bytes = seed
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let index = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes[index] = alphabet.randomElement(using: &random) ?? 0
        case 1: bytes.remove(at: index)
        default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
        }
      }
      let whole = Result { try parse(bytes) }
      let sizes = (0..<4).map { _ in Int.random(in: 1...20, using: &random) }
      let pieces = Result { try parse(bytes, pieces: sizes) }
      switch (whole, pieces) {
      case (.success(let one), .success(let other)):
        #expect(one.parts == other.parts && one.isComplete == other.isComplete)
      case (.failure, .failure): break
      default: Issue.record("pieces of \(sizes) change what \(bytes) means")
      }
    }
  }

  private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }
}
