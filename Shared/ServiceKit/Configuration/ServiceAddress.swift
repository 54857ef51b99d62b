package import RPC

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
  package var description: String { "\(Endpoint(host: host, port: port))" }
}

extension ServiceAddress: OptionValue {
  package static var optionType: String { "host:port" }
  package static var isQuoted: Bool { true }

  package init(optionText text: String) throws(ServiceKitError) {
    do throws(RPCError) {
      let endpoint = try Endpoint(parsing: text)
      self.init(host: endpoint.host, port: endpoint.port)
    } catch {
      throw .badValue(error.message)
    }
  }

  package var optionText: String { description }
}

/// `host:port` or `file:PATH`.
extension EndpointSource: OptionValue {
  package static var optionType: String { "endpoint" }
  package static var isQuoted: Bool { true }

  package init(optionText text: String) throws(ServiceKitError) {
    do throws(RPCError) {
      try self.init(parsing: text)
    } catch {
      throw .badValue(error.message)
    }
  }

  package var optionText: String { description }
}
