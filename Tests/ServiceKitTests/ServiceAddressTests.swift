import Testing

@testable import ServiceKit

@Suite("Service addresses")
struct ServiceAddressTests {
  @Test(
    "are read and written",
    arguments: [
      ("127.0.0.1:7101", "127.0.0.1", 7101), ("data.local:1", "data.local", 1),
      ("[::1]:7104", "::1", 7104),
    ]
  )
  func reads(_ text: String, _ host: String, _ port: Int) throws {
    let address = try ServiceAddress(optionText: text)
    #expect(address == ServiceAddress(host: host, port: port))
    #expect(address.optionText == text)
  }

  @Test(
    "that are malformed are refused",
    arguments: [
      "", ":", "host", "host:", ":80", "host:0", "host:65536", "host:-1", "::1:80", "[]:80",
    ]
  )
  func refuses(_ text: String) {
    #expect(throws: ServiceKitError.self) { try ServiceAddress(optionText: text) }
  }
}
