import Foundation
import Testing

@testable import Gateway

func parse(_ text: String) throws -> JSONValue { try JSONParser.parse(Array(text.utf8)) }

@Suite("JSON parser") struct JSONParserTests {
  @Test("reads every kind of value") func kinds() throws {
    let value = try parse(
      #" {"a": null, "b": [true, false], "c": -12, "d": 1.5e-3, "e": "x\n\u00e9\ud83d\ude00/", "f": {}} "#
    )
    #expect(
      value
        == .object(
          JSONObject(members: [
            .init(name: "a", value: .null),
            .init(name: "b", value: .array([.bool(true), .bool(false)])),
            .init(name: "c", value: .integer(-12)),
            .init(name: "d", value: .decimal(0.0015)),
            .init(name: "e", value: .string("x\né😀/")),
            .init(name: "f", value: .object(JSONObject())),
          ])
        )
    )
  }

  @Test(
    "tells integers from other numbers",
    arguments: [
      ("0", JSONValue.integer(0)), ("-0", .integer(0)),
      ("18446744073709551615", .integer(Int128(UInt64.max))),
      ("1.0", .decimal(1)), ("1e2", .decimal(100)),
      ("1000000000000000000000000000000000000000000", .decimal(1e42)),
    ]
  )
  func numbers(_ text: String, _ expected: JSONValue) throws {
    #expect(try parse(text) == expected)
  }

  @Test(
    "refuses what is not JSON and says where",
    arguments: [
      ("", "expected a value, found the end", 0),
      ("  ", "expected a value, found the end", 2),
      ("{", "expected a name in quotes", 1),
      ("[1,]", "expected a value", 3),
      (#"{"a" 1}"#, "expected ':'", 5),
      (#"{"a":1,}"#, "expected a name in quotes", 7),
      (#"{"a":1 "b":2}"#, "expected ',' or '}'", 7),
      (#"{"a":1,"a":2}"#, "a name occurs twice", 7),
      ("[1 2]", "expected ',' or ']'", 3),
      ("1 2", "unexpected text after the value", 2),
      ("NaN", "expected a value", 0), ("Infinity", "expected a value", 0),
      ("-", "expected a digit", 1), ("01", "unexpected text after the value", 1),
      ("1.", "expected a digit", 2), (".5", "expected a value", 0), ("1e", "expected a digit", 2),
      ("1e999", "a number out of range", 0), ("-1e999", "a number out of range", 0),
      ("+1", "expected a value", 0), ("tru", "expected a value", 0),
      ("'a'", "expected a value", 0),
      ("\"a", "a string without end", 0), ("\"a\\", "a string without end", 3),
      ("\"a\nb\"", "a control character in a string", 2),
      (#""\x""#, "an unknown escape", 1), (#""\u12g4""#, "expected four hexadecimal digits", 5),
      (#""\ud800""#, "half a surrogate pair", 1), (#""\udc00""#, "half a surrogate pair", 1),
      (#""\ud800\u0041""#, "half a surrogate pair", 1),
      ("\u{feff}1", "expected a value", 0),
    ]
  )
  func malformed(_ text: String, _ problem: String, _ offset: Int) throws {
    let error = #expect(throws: JSONError.self) { try parse(text) }
    #expect(error?.problem == problem)
    #expect(error?.offset == offset)
  }

  @Test("names line and column") func place() throws {
    let error = #expect(throws: JSONError.self) { try parse("{\n \"a\": 1,\n  oops}") }
    #expect(error?.message == "expected a name in quotes at line 3, column 3 (byte 13)")
  }

  @Test(
    "refuses bytes that are not UTF-8 and says where",
    arguments: [
      ([0xff], 0), ([0x61, 0xc3], 1), ([0xed, 0xa0, 0x80], 0), ([0xc0, 0xaf], 0),
      ([0xc3, 0xa9, 0xf8], 2),
    ] as [([UInt8], Int)]
  )
  func badUTF8(_ bytes: [UInt8], _ offset: Int) throws {
    let error = #expect(throws: JSONError.self) {
      try JSONParser.parse([0x22] + bytes + [0x22])
    }
    #expect(error?.problem == "invalid UTF-8")
    #expect(error?.offset == offset + 1)
  }

  @Test("bounds nesting, values and numbers") func bounds() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(throws: Never.self) { try parse(nested(JSONParser.depthMax)) }
    #expect(throws: JSONError.self) { try parse(nested(JSONParser.depthMax + 1)) }
    #expect(throws: JSONError.self) { try parse(String(repeating: "[", count: 1 << 20)) }
    #expect(throws: JSONError.self) {
      try parse(String(repeating: #"{"a":"#, count: 1 << 18))
    }
    let zeros = "[" + String(repeating: "0,", count: JSONParser.valuesMax) + "0]"
    #expect(throws: JSONError.self) { try parse(zeros) }
    #expect(throws: JSONError.self) {
      try parse(String(repeating: "1", count: JSONParser.numberBytesMax + 1))
    }
  }

  @Test("never crashes on damaged text") func damage() throws {
    let text = Array(#"{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00é"],"b":{"c":null,"d":true}}"#.utf8)
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      var bytes = text
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(
          in: 0...255,
          using: &generator
        )
      }
      if Bool.random() { bytes.removeLast(Int.random(in: 0..<bytes.count)) }
      _ = try? JSONParser.parse(bytes)
    }
  }
}

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
