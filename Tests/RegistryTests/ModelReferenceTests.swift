import Registry
import Store
import Testing

@Suite struct ModelReferenceTests {
  @Test(arguments: ["a", "support-chat", "ner_v1.2", "7b", String(repeating: "x", count: 64)])
  func `A name of lower-case letters, digits, dot, underscore and hyphen is accepted`(
    name: String
  ) throws {
    #expect(try ModelReference(parsing: name) == ModelReference(parsing: name))
    #expect(try ModelReference(parsing: name).name == name)
    #expect(try ModelReference(parsing: name).selector == .standard)
  }

  @Test(arguments: [
    "", ".", "..", "-a", "_a", "Upper", "a b", "a/b", "../a", "ä", "a\u{0}", "a\n",
    String(repeating: "x", count: 65),
  ])
  func `A name outside the grammar is refused`(name: String) {
    let error = #expect(throws: DataError.self) { try ModelReference.validateName(name) }
    #expect(error?.code == .invalidArgument)
    #expect(throws: DataError.self) { try ModelReference(parsing: name) }
  }

  @Test func `A number after the at sign is a version, other text an alias`() throws {
    #expect(try ModelReference(parsing: "chat@3").selector == .version(3))
    #expect(try ModelReference(parsing: "chat@production").selector == .alias("production"))
    #expect(try ModelReference(parsing: "chat@2-beta").selector == .alias("2-beta"))
  }

  @Test(arguments: ["chat@", "chat@0", "chat@4294967296", "chat@-1", "chat@a@b", "@3", "chat@A"])
  func `A malformed reference is refused`(text: String) {
    let error = #expect(throws: DataError.self) { try ModelReference(parsing: text) }
    #expect(error?.code == .invalidArgument)
  }

  @Test func `A number is no alias`() {
    #expect(throws: DataError.self) { try ModelReference.validateAlias("12") }
  }

  @Test func `A refusal shows control characters escaped and long text cut`() {
    let text = "a\n" + String(repeating: "x", count: 5_000)
    let error = #expect(throws: DataError.self) { try ModelReference.validateName(text) }
    #expect(error?.message.contains("\n") == false)
    #expect((error?.message.count ?? .max) < 250)
  }
}
