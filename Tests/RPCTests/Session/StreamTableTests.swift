import Testing

@testable import RPC

@Suite("The table of streams")
struct StreamTableTests {
  private final class Entry: StreamOwned {
    let stream: Int32

    init(_ stream: Int32) { self.stream = stream }
  }

  @Test("holds what a dictionary would, whatever comes and goes in whatever order")
  func likeADictionary() {
    var generator = SeededGenerator(seed: 7)
    var table = StreamTable<Entry>()
    var expected: [Int32: Entry] = [:]
    for _ in 0..<20_000 {
      // Few ids, so that most operations meet one that is there, or its neighbour.
      let id = Int32.random(in: 0..<200, using: &generator) * 2 + 1
      if Bool.random(using: &generator) {
        let entry = Entry(id)
        table[id] = entry
        expected[id] = entry
      } else {
        let removed = table.removeValue(forKey: id)
        #expect(removed === expected.removeValue(forKey: id))
      }
      let other = Int32.random(in: 0..<200, using: &generator) * 2 + 1
      #expect(table[other] === expected[other])
      #expect(table.count == expected.count)
    }
    #expect(table.values.map(\.stream) == expected.keys.sorted())
    table.removeAll()
    #expect(table.isEmpty && table[1] == nil)
  }
}
