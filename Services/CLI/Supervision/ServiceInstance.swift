/// The name of one process of a suite: that of its service, and a number where the service is replicated, as in
/// `inference-2`.
package struct ServiceInstance: Sendable, Hashable {
  /// What the process does.
  package let service: Service
  /// From 1 on; 1 where the service is not replicated.
  package let number: Int

  /// The process `number` of a service.
  package init(_ service: Service, _ number: Int = 1) {
    precondition(service.replicaCounts.contains(number), "\(service.rawValue) \(number)")
    self.service = service
    self.number = number
  }

  /// The processes of a service that has `count` of them.
  package static func all(of service: Service, count: Int) -> [ServiceInstance] {
    (0..<count).map { ServiceInstance(service, $0 + 1) }
  }

  /// The process that stands in for the only one of a service while that is replaced, nil where the service
  /// cannot have two.
  package static func standIn(of service: Service) -> ServiceInstance? {
    service.isReplicated ? ServiceInstance(service, 2) : nil
  }
}

extension ServiceInstance: LosslessStringConvertible {
  /// The process of this name, nil if no suite can have one.
  package init?(_ name: String) {
    let matches = Service.allCases.lazy.flatMap { service in
      service.replicaCounts.lazy.map { ServiceInstance(service, $0) }
    }
    guard let match = matches.first(where: { $0.description == name }) else { return nil }
    self = match
  }

  /// The name.
  package var description: String {
    service.isReplicated ? "\(service.rawValue)-\(number)" : service.rawValue
  }
}

extension ServiceInstance: Comparable {
  /// The order in which processes start.
  package static func < (one: ServiceInstance, other: ServiceInstance) -> Bool {
    (one.service.order, one.number) < (other.service.order, other.number)
  }
}

extension ServiceInstance: Codable, CodingKeyRepresentable {
  /// Reads the name.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let name = try container.decode(String.self)
    guard let instance = ServiceInstance(name) else {
      throw DecodingError.dataCorruptedError(
        in: container,
        debugDescription: "no suite has a process '\(name)'"
      )
    }
    self = instance
  }

  /// Writes the name.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }

  private struct Name: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// The name as a key of an object.
  package var codingKey: any CodingKey { Name(stringValue: description) }

  /// The process whose name is a key of an object.
  package init?(codingKey: some CodingKey) { self.init(codingKey.stringValue) }
}

extension Service: CodingKeyRepresentable {
  fileprivate var order: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
