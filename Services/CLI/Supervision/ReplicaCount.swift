/// How many processes of a service are asked for, written as in `inference=3`.
package struct ReplicaCount: Sendable, Equatable {
  /// The service.
  package let service: Service
  /// How many, within the service's ``Service/replicaCounts``.
  package let count: Int

  /// A number of processes that the service may have.
  package init(_ service: Service, _ count: Int) throws(SupervisionError) {
    guard service.replicaCounts.contains(count) else {
      throw SupervisionError(
        .invalidRequest,
        service.isReplicated
          ? "\(service.rawValue)=\(count): from 1 to \(Service.replicasMax) replicas are possible"
          : "\(service.rawValue)=\(count): \(service.rawValue) runs as one process; "
            + "\(Self.replicatedServices) can have several"
      )
    }
    self.service = service
    self.count = count
  }

  /// Reads `inference=3`.
  package init(parsing text: String) throws(SupervisionError) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let count = Int(parts[1]) else {
      throw SupervisionError(.invalidRequest, "'\(text)' is not SERVICE=NUMBER, as in inference=3")
    }
    guard let service = Service(rawValue: String(parts[0])) else {
      throw SupervisionError(.invalidRequest, "no service is called '\(parts[0])'")
    }
    try self.init(service, count)
  }

  private static var replicatedServices: String {
    Service.allCases.filter(\.isReplicated).map(\.rawValue).joined(separator: ", ")
  }
}
