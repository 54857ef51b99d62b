import Testing

@testable import JSON

@Suite("The JSON writer")
struct JSONWriterTests {
  @Test("What is written is read back")
  func roundTrip() throws {
    let texts = [
      #"{"a":[1,-2,2.5,1e+300,true,false,null],"b":{"c":[],"d":{}},"é\"\\\n\u0001":"x\ty\rz"}"#,
      "[]", "{}", "null", "\"\"", "-0.125",
    ]
    for text in texts {
      let value = try JSONReader.parse(Array(text.utf8))
      #expect(value.serialized() == text)
      #expect(try JSONReader.parse(Array(value.serialized(isIndented: true).utf8)) == value)
    }
    let value = try JSONReader.parse(Array(#"{"a":[1,{"b":2}],"c":{}}"#.utf8))
    let expected = "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ],\n  \"c\": {}\n}"
    #expect(value.serialized(isIndented: true) == expected)
    #expect(JSONValue.array([.number(.nan), .number(.infinity)]).serialized() == "[null,null]")
  }
}
