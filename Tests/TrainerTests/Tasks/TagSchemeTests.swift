import Testing

@testable import Trainer

@Suite("Tag schemes")
struct TagSchemeTests {
  private func detect(_ rows: [[String]]) -> TagScheme {
    var table = NameTable()
    let indices = rows.map { row in row.map { UInt32(table.index(of: $0)) } }
    return TagScheme.detect(names: table.names, rows: indices.map { $0[...] })
  }

  @Test("the scheme is seen from the tags")
  func detection() {
    #expect(detect([["B-PER", "I-PER", "O"], ["B-LOC"]]) == .iob2)
    #expect(detect([["I-PER", "I-PER", "O", "I-LOC"], ["I-LOC", "B-LOC"]]) == .iob1)
    #expect(detect([["S-PER", "O", "B-LOC", "E-LOC"]]) == .iobes)
    #expect(detect([["U-PER", "O"], ["B-LOC", "L-LOC"]]) == .iobes)
    #expect(detect([["NOUN", "VERB"]]) == .plain)
    #expect(detect([["O", "O"]]) == .iob2)
  }

  @Test("a few wrong tags do not turn IOB2 into IOB1")
  func wrongTags() {
    #expect(detect([["B-PER", "I-PER"], ["O", "I-PER"], ["B-LOC"]]) == .iob2)
  }

  @Test("IOB1 becomes IOB2")
  func iob1() {
    #expect(
      TagScheme.iob1.iob2(["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-PER"])
        == ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "B-PER"]
    )
  }

  @Test("IOBES and BILOU become IOB2")
  func iobes() {
    #expect(
      TagScheme.iobes.iob2(["S-PER", "B-LOC", "I-LOC", "E-LOC", "O", "U-PER", "B-X", "L-X"])
        == ["B-PER", "B-LOC", "I-LOC", "I-LOC", "O", "B-PER", "B-X", "I-X"]
    )
  }

  @Test("labels are O, then B and I of each type in order")
  func labels() {
    #expect(
      TagScheme.iob2.labels(of: ["I-PER", "O", "B-LOC", "B-PER"])
        == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    )
    #expect(TagScheme.plain.labels(of: ["VERB", "NOUN"]) == ["NOUN", "VERB"])
  }
}
