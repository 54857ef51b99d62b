import Testing

@testable import Checkpoints

@Suite("The JSON reader of checkpoints")
struct JSONParserTests {
  private func parse(_ text: String) throws -> JSONValue { try parse(Array(text.utf8)) }

  private func parse(_ bytes: [UInt8]) throws -> JSONValue {
    try bytes.withUnsafeBytes { try JSONParser.parse($0) }
  }

  @Test("values of every kind are read")
  func values() throws {
    #expect(try parse(" null ") == .null)
    #expect(try parse("[true,false]") == .array([.boolean(true), .boolean(false)]))
    #expect(
      try parse("[0,-1,1e3,2.5,-0.5E-1]")
        == .array([.integer(0), .integer(-1), .real(1000), .real(2.5), .real(-0.05)])
    )
    #expect(
      try parse(#""a\"\\\/\b\f\n\r\tö\u00e9\ud83d\ude00""#) == .string("a\"\\/\u{8}\u{C}\n\r\töé😀")
    )
    #expect(try parse("[]") == .array([]) && parse("{ }") == .object(JSONObject()))
    guard case .object(let object) = try parse(#"{"z":1,"a":{"b":[]}}"#) else {
      Issue.record("not an object")
      return
    }
    #expect(object.names == ["z", "a"] && object["z"] == .integer(1))
  }

  @Test(
    "texts that are not JSON are refused",
    arguments: [
      "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}",
      "{a:1}", "01",
      "1.", ".5", "-", "1e", "+1", "1e999", "tru", "nul", "\"", "\"\\x\"", "\"\\u12\"",
      "\"\\ud800\"",
      "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\u{1}\"", "1 2", "{\"a\":1,\"a\":2}", "NaN",
      "Infinity",
    ]
  )
  func refuses(text: String) {
    #expect(throws: JSONSyntaxError.self) { try parse(text) }
  }

  @Test("strings that are not UTF-8 are refused")
  func utf8() {
    #expect(throws: JSONSyntaxError.self) { try parse([0x22, 0xC3, 0x22]) }
    #expect(throws: JSONSyntaxError.self) { try parse([0x22, 0xED, 0xA0, 0x80, 0x22]) }
  }
}
