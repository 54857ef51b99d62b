import Testing

@testable package import JSON

@Suite("The JSON reader")
struct JSONReaderTests {
  private func parse(_ text: String) throws -> JSONValue { try parse(Array(text.utf8)) }

  private func parse(_ bytes: [UInt8]) throws -> JSONValue {
    try JSONReader.parse(bytes)
  }

  @Test("values of every kind are read")
  func values() throws {
    #expect(try parse(" null ") == .null)
    #expect(try parse("[true,false]") == .array([.boolean(true), .boolean(false)]))
    #expect(
      try parse("[0,-1,1e3,2.5,-0.5E-1]")
        == .array([.integer(0), .integer(-1), .number(1000), .number(2.5), .number(-0.05)])
    )
    #expect(
      try parse(#""a\"\\\/\b\f\n\r\tö\u00e9\ud83d\ude00""#) == .string("a\"\\/\u{8}\u{C}\n\r\töé😀")
    )
    #expect(try parse("[]") == .array([]) && parse("{ }") == .object(JSONObject()))
    guard case .object(let object) = try parse(#"{"z":1,"a":{"b":[]}}"#) else {
      Issue.record("not an object")
      return
    }
    #expect(object.members.map(\.key) == ["z", "a"] && object["z"] == .integer(1))
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
    #expect(throws: JSONError.self) { try parse(text) }
  }

  @Test("strings that are not UTF-8 are refused")
  func utf8() {
    #expect(throws: JSONError.self) { try parse([0x22, 0xC3, 0x22]) }
    #expect(throws: JSONError.self) { try parse([0x22, 0xED, 0xA0, 0x80, 0x22]) }
  }

  @Test("an error says where it is")
  func position() {
    for (text, byte, line, column) in [
      ("", 0, 1, 1), ("  ", 2, 1, 3), ("[1, x]", 4, 1, 5), (#"{"a":1,"b":2,"a":3}"#, 13, 1, 14),
      ("[1] 2", 4, 1, 5), ("[\"é\u{1}\"]", 4, 1, 5), ("{\n \"a\": 1,\n  oops}", 13, 3, 3),
      ("\r\n\n", 3, 3, 1), ("\"abc", 4, 1, 5), ("[\n\n", 3, 3, 1),
    ] {
      let error = #expect(throws: JSONError.self) { try parse(text) }
      #expect(error?.byte == byte, "\(text): \(String(describing: error))")
      #expect(error?.line == line && error?.column == column)
      #expect(
        error?.description.hasSuffix("at line \(line), column \(column) (byte \(byte))") == true
      )
    }
  }

  @Test(
    "bytes that are not UTF-8 are refused where they stand, with or without escapes",
    arguments: [
      ([0xff], 0), ([0x61, 0xc3], 1), ([0xed, 0xa0, 0x80], 0), ([0xc0, 0xaf], 0),
      ([0xc3, 0xa9, 0xf8], 2), ([0x5c, 0x6e, 0xc3, 0x5c, 0x6e], 2),
      (Array(#"\ud83d\ude00"#.utf8) + [0x80], 12),
    ] as [([UInt8], Int)]
  )
  func placeOfBadUTF8(_ content: [UInt8], _ byte: Int) {
    let error = #expect(throws: JSONError.self) { try parse([0x22] + content + [0x22]) }
    #expect(error?.reason == "a string is not UTF-8")
    #expect(error?.byte == byte + 1)
  }

  @Test(
    "integers are told from other numbers",
    arguments: [
      ("0", JSONValue.integer(0)), ("-0", .integer(0)), ("-0.0", .number(-0.0)),
      ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
      ("9223372036854775808", .unsigned(1 << 63)), ("18446744073709551615", .unsigned(.max)),
      ("18446744073709551616", .number(0x1p64)), ("-9223372036854775809", .number(-0x1p63)),
      ("1.0", .number(1)), ("1e2", .number(100)),
    ]
  )
  func integers(_ text: String, _ expected: JSONValue) throws {
    #expect(try parse(text) == expected)
  }

  @Test("damaged text never ends the process") func damage() {
    let text = Array(#"{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00é"],"b":{"c":null,"d":true}}"#.utf8)
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      var bytes = text
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255)
      }
      if Bool.random() { bytes.removeLast(Int.random(in: 0..<bytes.count)) }
      _ = try? parse(bytes)
    }
  }

  @Test("depth, values and numbers are bounded")
  func bounds() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try parse(nested(JSONLimits.depthMax))
    let deep = #expect(throws: JSONError.self) { try parse(nested(JSONLimits.depthMax + 1)) }
    #expect(deep?.reason == "nested deeper than 64")
    #expect(throws: JSONError.self) { try parse(String(repeating: "{\"a\":", count: 100_000)) }
    let three = Array("[1,{\"a\":2}]".utf8)
    _ = try JSONReader.parse(three, valuesMax: 4)
    let many = #expect(throws: JSONError.self) { try JSONReader.parse(three, valuesMax: 3) }
    #expect(many?.reason == "over 3 values")
    let digits = String(repeating: "1", count: JSONLimits.numberBytesMax)
    #expect(throws: Never.self) { try parse(digits) }
    #expect(throws: JSONError.self) { try parse(digits + "1") }
  }
}

@Suite("JSON objects")
struct JSONObjectTests {
  @Test("keys are the same if their bytes are, whatever the size of the object")
  func keys() throws {
    for count in [2, 8, 9, 1_000] {
      var object = JSONObject()
      var keys = ["\u{212B}", "\u{C5}", "A\u{30A}", ""]
      while keys.count < count { keys.append("key \(keys.count)") }
      for (index, key) in keys.enumerated() {
        let isNew = object.append(key, .integer(index))
        #expect(isNew)
      }
      for (index, key) in keys.enumerated() {
        #expect(object[key] == .integer(index))
        let isNew = object.append(key, .null)
        #expect(!isNew)
      }
      #expect(object.count == keys.count && object["absent"] == nil)
      #expect(object.members.map { Array($0.key.utf8) } == keys.map { Array($0.utf8) })
    }
  }

  @Test("a member that is null counts as absent, but its key is taken")
  func null() {
    var object = JSONObject()
    let isNew = [object.append("a", .null), object.append("a", .integer(1))]
    #expect(isNew == [true, false] && object["a"] == nil)
  }

  @Test("hostile keys take time linear in their length")
  func hostile() throws {
    // Swift's own comparison would take minutes for these.
    let marks = String(repeating: "\u{301}\u{323}", count: 50_000)
    let body = (0..<20).map { #""a\#(marks)\#($0)":1"# }.joined(separator: ",")
    guard case .object(let object) = try JSONReader.parse(Array("{\(body)}".utf8)) else {
      Issue.record("not an object")
      return
    }
    #expect(object.count == 20 && object["a\(marks)7"] == .integer(1))
    let twice = #expect(throws: JSONError.self) {
      try JSONReader.parse(Array(#"{"a\#(marks)":1,"a\#(marks)":2}"#.utf8))
    }
    #expect(twice.map { $0.reason.utf8.count < 500 } == true)
  }

  @Test("an excerpt is cut by scalars")
  func excerpt() {
    #expect("abc".excerpt(3) == "abc" && "abcd".excerpt(3) == "abc…" && "".excerpt(0) == "")
    let long = "a" + String(repeating: "\u{301}", count: 1_000)
    #expect(long.excerpt(10).unicodeScalars.count == 11)
    #expect(JSONValue.string(long).summary.unicodeScalars.count == 43)
    #expect(JSONValue.number(1e20).summary == "1e+20" && JSONValue.array([]).summary == "an array")
  }
}

extension JSONValue: Equatable {
  /// Equality for tests; texts by their bytes, objects with their order.
  package static func == (left: JSONValue, right: JSONValue) -> Bool {
    switch (left, right) {
    case (.null, .null): true
    case (.boolean(let left), .boolean(let right)): left == right
    case (.integer(let left), .integer(let right)): left == right
    case (.unsigned(let left), .unsigned(let right)): left == right
    case (.number(let left), .number(let right)): left == right
    case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
    case (.array(let left), .array(let right)):
      left.count == right.count && zip(left, right).allSatisfy { $0 == $1 }
    case (.object(let left), .object(let right)):
      left.count == right.count
        && zip(left.members, right.members).allSatisfy {
          $0.key.utf8.elementsEqual($1.key.utf8) && $0.value == $1.value
        }
    default: false
    }
  }
}
