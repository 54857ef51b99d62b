import Testing

@testable import RPC

@Suite("The metadata of a connection's last call")
struct MetadataCacheTests {
  private func list(_ fields: [(String, String)]) -> [HeaderField] {
    requestHead + fields.map { HeaderField($0.0, $0.1) }
  }

  @Test(
    "is the list's own, whatever the list before it was",
    arguments: [
      [("a", "1")], [("a", "2")], [("a", "1"), ("b", "2")], [("b", "1")], [], [("a-bin", "AQI")],
      [("a", String(repeating: "x", count: 2_000))],
    ] as [[(String, String)]]
  )
  func isNeverTheOldOne(_ fields: [(String, String)]) {
    var cache = MetadataCache()
    for before in [[("a", "1")], [("a", "1"), ("b", "2")], [], [("a-bin", "AQI")]] {
      _ = cache.metadata(of: list(before))
      for _ in 0..<2 {
        #expect(cache.metadata(of: list(fields)) == Metadata(fields: list(fields)))
      }
    }
  }
}
