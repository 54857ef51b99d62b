import NIOCore
import Synchronization
import Testing

@testable import RPC

/// What targets stand for and when names are looked up.
struct ResolutionTests {
  // MARK: Targets

  private func endpoints(_ text: String) throws -> [String] {
    guard case .endpoints(let endpoints) = try ChannelTarget(parsing: text).kind else { return [] }
    return endpoints.map(\.description)
  }

  private func name(_ text: String) throws -> String? {
    guard case .name(let name) = try ChannelTarget(parsing: text).kind else { return nil }
    return name.description
  }

  @Test func `targets are read as gRPC names them`() throws {
    #expect(try endpoints("127.0.0.1:80") == ["127.0.0.1:80"])
    #expect(try endpoints("[::1]:80") == ["[::1]:80"])
    #expect(try endpoints("ipv4:1.2.3.4:5,6.7.8.9:10") == ["1.2.3.4:5", "6.7.8.9:10"])
    #expect(try endpoints("ipv6:[::1]:5,[::2]:6") == ["[::1]:5", "[::2]:6"])
    #expect(try endpoints("static:a:1,1.2.3.4:2") == ["a:1", "1.2.3.4:2"])
    #expect(try endpoints("unix:/tmp/x") == ["unix:/tmp/x"])
    #expect(try endpoints("unix:///tmp/x") == ["unix:/tmp/x"])
    #expect(try endpoints("dns:///1.2.3.4:5") == ["1.2.3.4:5"])
    #expect(try name("example:80") == "example:80")
    #expect(try name("dns:///example:80") == "example:80")
    #expect(try name("dns:example:80") == "example:80")
    #expect(try name("dns:///example") == "example:443")
    #expect(try name("dns:80") == "dns:80")
  }

  @Test func `authorities are names with their ports`() throws {
    #expect(try ChannelTarget(parsing: "dns:///example:80").authority == "example:80")
    #expect(try ChannelTarget(parsing: "dns:///example:80").serverName == "example")
    #expect(try ChannelTarget(parsing: "ipv4:1.2.3.4:5,1.2.3.5:5").authority == "1.2.3.4:5")
    #expect(try ChannelTarget(parsing: "unix:/a").authority == "localhost")
  }

  @Test func `a host and its port make an authority with brackets where they belong`() {
    #expect(ChannelTarget(host: "::1", port: 1).authority == "[::1]:1")
    #expect(ChannelTarget(host: "a", port: 1).authority == "a:1")
  }

  @Test func `certificates of a list are checked against their own names`() throws {
    func names(_ text: String, _ endpoints: [Endpoint]) throws -> [String] {
      let target = try ChannelTarget(parsing: text)
      return endpoints.map(target.serverName(of:))
    }
    let (a, b) = (Endpoint(host: "a", port: 1), Endpoint(host: "b", port: 1))
    #expect(try names("static:a:1,b:1", [a, b]) == ["a", "b"])
    #expect(try names("example:80", [Endpoint(host: "10.0.0.1", port: 80)]) == ["example"])
    #expect(try names("unix:/a", [Endpoint(unixPath: "/a")]) == ["localhost"])
  }

  @Test(arguments: [
    "", "example", "example:0", "example:99999", "ipv4:", "ipv4:[::1]:80", "ipv6:1.2.3.4:80",
    "ipv4:1.2.3.4:5,", "ipv4:name:80", "unix:", "dns://8.8.8.8/example:80", "dns:///",
    "::1:80", "unix:a\0b",
  ])
  func `a target that makes no sense is refused`(text: String) {
    #expect(throws: RPCError.self) { try ChannelTarget(parsing: text) }
  }

  // MARK: Schedule

  @Test func `looks keep a gap and come again on the interval`() {
    var schedule = ResolutionSchedule(gap: .seconds(1), interval: .seconds(30))
    let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    schedule.asked(at: start)
    #expect(schedule.due == start)
    schedule.began(at: start)
    schedule.asked(at: start + .milliseconds(10))
    #expect(schedule.due == nil)
    schedule.ended(at: start + .milliseconds(20), isSuccess: true, .system)
    #expect(schedule.due == start + .milliseconds(20) + .seconds(30))
    schedule.asked(at: start + .milliseconds(30))
    #expect(schedule.due == start + .seconds(1))
    schedule.asked(at: start + .seconds(5))
    #expect(schedule.due == start + .seconds(1))
  }

  @Test func `failures are repeated at growing distances`() throws {
    var schedule = ResolutionSchedule(gap: .seconds(1), interval: nil)
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    var waits: [TimeAmount] = []
    for _ in 0..<10 {
      schedule.began(at: now)
      schedule.ended(at: now, isSuccess: false, .system)
      let due = try #require(schedule.due)
      waits.append(due - now)
      now = due
    }
    #expect(waits[0] >= .milliseconds(800) && waits[0] <= .milliseconds(1200))
    #expect(waits[9] >= .seconds(24) && waits[9] <= .seconds(36))
    schedule.began(at: now)
    schedule.ended(at: now, isSuccess: true, .system)
    #expect(schedule.due == nil)
  }
}
