/// Where a service listens, written `host:port` or `[IPv6]:port`.
package struct ServiceAddress: Sendable, Hashable, CustomStringConvertible {
  /// A name or an address.
  package let host: String
  /// A TCP port.
  package let port: Int

  /// Creates an address.
  package init(host: String, port: Int) {
    self.host = host
    self.port = port
  }

  /// `host:port`, with brackets around an IPv6 address.
  package var description: String {
    host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
  }
}

extension ServiceAddress: OptionValue {
  package static var optionType: String { "host:port" }
  package static var isQuoted: Bool { true }

  package init(optionText text: String) throws(ServiceKitError) {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
      port > 0
    else { throw .badValue("is not host:port (such as 127.0.0.1:7101)") }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      throw .badValue("is not host:port: an IPv6 address needs brackets")
    }
    guard !host.isEmpty else { throw .badValue("is not host:port (such as 127.0.0.1:7101)") }
    self.init(host: String(host), port: Int(port))
  }

  package var optionText: String { description }
}
