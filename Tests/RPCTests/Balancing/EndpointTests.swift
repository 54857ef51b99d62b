import Foundation
import Synchronization
import Testing

@testable import RPC

extension EndpointLookup {
  fileprivate func endpoints(of source: EndpointSource) async throws(RPCError) -> [Endpoint] {
    var names = ResolvedNames()
    return try await endpoints(of: source, names: &names)
  }
}

/// How endpoints are written, and what names and files stand for.
@Suite struct EndpointTests {
  private static let nobody = EndpointLookup(
    addresses: { name throws(RPCError) in throw RPCError(.unavailable, "no \(name)") },
    text: { path throws(RPCError) in throw RPCError(.unavailable, "no \(path)") }
  )

  @Test(arguments: [
    ("10.0.0.1:7102", EndpointSource.endpoint(Endpoint(host: "10.0.0.1", port: 7102))),
    ("[::1]:1", .endpoint(Endpoint(host: "::1", port: 1))), ("file:/run/list", .file("/run/list")),
    ("file:relative", .file("relative")),
  ])
  func `sources are read and written`(text: String, source: EndpointSource) throws {
    #expect(try EndpointSource(parsing: text) == source)
    #expect("\(source)" == text)
  }

  @Test(arguments: [
    "", "host", ":1", "host:0", "host:65536", "::1:80", "file:", "file:a\0b",
    // What must not get into header fields and lookups.
    "a\0b:1", "a\nb:1", "a b:1", "a\u{7f}:1",
    // In brackets is an IPv6 address and nothing else, above all no path.
    "[unix:/run/a]:80", "[host]:80", "[[::1]]:80", "[::1:80", "::1]:80", "[]:80",
    // A mark that follows a colon makes one character of both.
    "a:\u{301}b:1",
  ])
  func `malformed sources are refused`(text: String) {
    #expect(throws: RPCError.self) { try EndpointSource(parsing: text) }
  }

  @Test func `an address is not looked up`() async throws {
    let endpoint = Endpoint(host: "10.0.0.1", port: 1)
    #expect(try await Self.nobody.endpoints(of: .endpoint(endpoint)) == [endpoint])
  }

  @Test(arguments: [
    (["10.0.0.2", "10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2"]),
    (["::2", "10.0.0.1", "::1"], ["10.0.0.1"]), (["::2", "::1"], ["::1", "::2"]),
  ])
  func `a name stands for its addresses, each once, of one family`(
    found: [String],
    expected: [String]
  ) async throws {
    var lookup = Self.nobody
    lookup.addresses = { _ throws(RPCError) in found }
    let endpoints = try await lookup.endpoints(of: .endpoint(Endpoint(host: "name", port: 5)))
    #expect(endpoints == expected.map { Endpoint(host: $0, port: 5) })
  }

  @Test func `a file lists endpoints, with comments and names`() async throws {
    var lookup = Self.nobody
    lookup.text = { _ throws(RPCError) in "# all\n 10.0.0.2:1 # old\r\n\nname:7\n10.0.0.2:1\n" }
    lookup.addresses = { _ throws(RPCError) in ["10.0.0.3", "10.0.0.1"] }
    let endpoints = try await lookup.endpoints(of: .file("list"))
    #expect(endpoints.map(\.description) == ["10.0.0.1:7", "10.0.0.2:1", "10.0.0.3:7"])
  }

  @Test func `a malformed line of a file is named`() async throws {
    var lookup = Self.nobody
    lookup.text = { _ throws(RPCError) in "10.0.0.1:1\nnonsense\n" }
    let error = try await failure { try await lookup.endpoints(of: .file("list")) }
    #expect(error.message == "list: 'nonsense' is not host:port (such as 127.0.0.1:7101)")
  }

  @Test func `a name that is not found stands for what it did, and keeps nothing else back`()
    async throws
  {
    let state = Mutex(
      (text: "a:1\nb:2\n", known: ["a": ["10.0.0.1"], "b": ["10.0.0.2"]], asked: 0)
    )
    var lookup = Self.nobody
    lookup.text = { _ throws(RPCError) in state.withLock { $0.text } }
    lookup.addresses = { name throws(RPCError) in
      let found = state.withLock { state in
        state.asked += 1
        return state.known[name]
      }
      guard let found else { throw RPCError(.unavailable, "no \(name)") }
      return found
    }
    var names = ResolvedNames()
    func look(isAnew: Bool = true) async throws -> [String] {
      try await lookup.endpoints(of: .file("list"), names: &names, isAnew: isAnew)
        .map(\.description)
    }
    #expect(try await look() == ["10.0.0.1:1", "10.0.0.2:2"])
    state.withLock { ($0.text, $0.known["b"]) = ("b:2\nnobody:3\n10.0.0.9:4\n", nil) }
    #expect(try await look() == ["10.0.0.2:2", "10.0.0.9:4"])
    #expect(names.failure?.message.hasPrefix("no ") == true)
    // Names that are known are not asked for again before it is time.
    let asked = state.withLock { $0.asked }
    state.withLock { $0.text = "b:2\n10.0.0.9:5\n" }
    #expect(try await look(isAnew: false) == ["10.0.0.2:2", "10.0.0.9:5"])
    #expect(state.withLock { $0.asked } == asked && names.failure == nil)
  }

  @Test func `a name whose look-up never ends keeps no other back`() async throws {
    var lookup = Self.nobody
    lookup.timeMax = .milliseconds(50)
    lookup.text = { _ throws(RPCError) in "a:1\nb:2\n" }
    lookup.addresses = { name throws(RPCError) in
      // Deaf to its cancellation, as the system's resolver is.
      if name == "a" { await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in } }
      return ["10.0.0.2"]
    }
    var names = ResolvedNames()
    var endpoints: [Endpoint] = []
    // On a busy machine the other may be late, too.
    while endpoints.isEmpty {
      try Task.checkCancellation()
      endpoints = (try? await lookup.endpoints(of: .file("list"), names: &names)) ?? []
    }
    #expect(endpoints.map(\.description) == ["10.0.0.2:2"])
    #expect(names.failure?.message.hasPrefix("look up a: ") == true)
    let error = try await failure {
      try await lookup.endpoints(of: .endpoint(Endpoint(host: "a", port: 1)))
    }
    #expect(error.code == .unavailable)
  }

  @Test func `the system reads files of a bounded size and knows this machine`() async throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("endpoints-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let system = EndpointLookup.system
    let missing = try await failure { try await system.endpoints(of: .file(path)) }
    #expect(missing.code == .unavailable && missing.message.contains(path))
    try Data("localhost:9\n".utf8).write(to: URL(fileURLWithPath: path))
    let found = try await system.endpoints(of: .file(path))
    #expect(found.allSatisfy { ["127.0.0.1", "::1"].contains($0.host) && $0.port == 9 })
    #expect(found.count == 1)
    let large = String(repeating: "#\n", count: EndpointLookup.fileBytesMax)
    try Data(large.utf8).write(to: URL(fileURLWithPath: path))
    let tooLarge = try await failure { try await system.endpoints(of: .file(path)) }
    #expect(tooLarge.message.contains("larger than"))
  }
}
