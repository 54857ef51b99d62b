import Foundation
import JSON
import Testing

@testable import Gateway

func parse(_ text: String) throws -> JSONValue { try JSONReader.parse(Array(text.utf8)) }

@Suite("JSON text") struct JSONTextTests {
  private func escaped(_ text: String) -> String {
    var json = JSONText()
    json.string(text)
    return String(decoding: json.bytes, as: UTF8.self)
  }

  @Test("escapes what JSON and event streams need escaped") func escapes() {
    #expect(escaped("a\"b\\c/d") == #""a\"b\\c/d""#)
    #expect(escaped("\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}") == #""\n\r\t\b\f\u0000\u001f\u007f""#)
    #expect(escaped("é😀\u{2028}\u{2029}\u{2027}") == "\"é😀\\u2028\\u2029\u{2027}\"")
    #expect(escaped("") == "\"\"")
  }

  @Test("is read back by Foundation's and our own reader, whatever the text") func roundTrip()
    throws
  {
    var generator = SystemRandomNumberGenerator()
    let interesting: [ClosedRange<UInt32>] = [
      0...0x7f, 0...0x1f, 0x80...0x7ff, 0x2020...0x2030, 0xe000...0xffff, 0x10000...0x10ffff,
    ]
    for _ in 0..<2000 {
      var text = String.UnicodeScalarView()
      for _ in 0..<Int.random(in: 0...40, using: &generator) {
        let range = interesting[Int.random(in: 0..<interesting.count, using: &generator)]
        if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &generator)) {
          text.append(scalar)
        }
      }
      let string = String(text)
      let json = escaped(string)
      #expect(!json.utf8.contains(0x0a) && !json.utf8.contains(0x0d))
      let foundation = try JSONDecoder().decode([String].self, from: Data("[\(json)]".utf8))
      #expect(Array(foundation[0].unicodeScalars) == Array(string.unicodeScalars))
      guard case .string(let own) = try parse(json) else {
        Issue.record("not a string")
        continue
      }
      #expect(Array(own.unicodeScalars) == Array(string.unicodeScalars))
    }
  }
}
