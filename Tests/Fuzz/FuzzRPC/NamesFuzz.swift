@testable import FuzzedRPC

/// Texts that name where to connect.
enum NamesFuzz {
  static func names(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let endpoint = try? Endpoint(parsing: text) { check(endpoint) }
    if let source = try? EndpointSource(parsing: text) {
      precondition((try? EndpointSource(parsing: "\(source)")) == source, "'\(source)' differs")
    }
    if let entries = try? EndpointLookup.entries(text, of: "file") {
      for entry in entries { check(entry) }
    }
    _ = EndpointLookup.isAddress(text)
    guard let target = try? ChannelTarget(parsing: text) else { return }
    precondition(target.description == text, "a target does not tell what was read")
    precondition((try? ChannelTarget(parsing: text)) == target, "a target is read in two ways")
    precondition(!target.serverName.isEmpty, "no name to check certificates against")
    precondition(isField(target.authority), "'\(target.authority)' is no :authority")
    switch target.kind {
    case .name(let name): check(name)
    case .endpoints(let endpoints):
      precondition(!endpoints.isEmpty, "a target without endpoints")
      for endpoint in endpoints {
        guard let path = endpoint.unixPath else {
          check(endpoint)
          continue
        }
        precondition(text.hasPrefix("unix:"), "'\(path)' is taken for a path")
        precondition(!path.isEmpty && !path.utf8.contains(0), "'\(path)' is no path")
      }
    }
  }

  /// An endpoint that was read can be written, and is the same when it is read again.
  private static func check(_ endpoint: Endpoint) {
    precondition((1...65_535).contains(endpoint.port), "port \(endpoint.port)")
    precondition(endpoint.unixPath == nil, "'\(endpoint)' is taken for a path")
    precondition(isField(endpoint.host), "'\(endpoint.host)' is no host")
    precondition((try? Endpoint(parsing: "\(endpoint)")) == endpoint, "'\(endpoint)' differs")
  }

  /// Whether the text can be a field's value.
  private static func isField(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f }
  }
}
