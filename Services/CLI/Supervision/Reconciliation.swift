/// A step towards the desired state.
package enum SuiteAction: Sendable, Equatable {
  /// Start a process of this name; there is none.
  case start(ServiceInstance)
  /// Let the process finish its requests and end.
  case drain(ServiceInstance)
}

extension DesiredState {
  /// What is to be done now so that the processes become what is desired, in this order.
  ///
  /// It is asked again after every change of either side, so that it need not plan ahead: a process that is to be
  /// replaced is drained now, and started when it is gone.
  ///
  /// - Parameter actual: the processes that there are, each name once.
  /// - Returns: first the drains, the highest number first, then the starts in their order.
  package func actions(on actual: [SuiteProcess]) -> [SuiteAction] {
    let wanted = instances + Service.allCases.compactMap { standIn(for: $0, among: actual) }
    var drains: [ServiceInstance] = []
    for process in actual.sorted(by: { $0.instance > $1.instance })
    where process.state != .draining {
      if !wanted.contains(process.instance) {
        if isDispensable(process, among: actual) { drains.append(process.instance) }
      } else if isReplaced(process), mayBeReplaced(process, among: actual, after: drains) {
        drains.append(process.instance)
      }
    }
    let present = Set(actual.map(\.instance))
    return drains.map { .drain($0) }
      + wanted.sorted().filter { !present.contains($0) }.map { .start($0) }
  }

  private func isReplaced(_ process: SuiteProcess) -> Bool {
    process.run <= replaced[process.instance, default: -1]
  }

  /// Whether a process that is to be replaced may end now.
  ///
  /// Of a service that can have several, one that takes requests waits until another does, and until the
  /// successor of the one before had its chance: they go one after another, whoever asked for them.
  private func mayBeReplaced(
    _ process: SuiteProcess,
    among actual: [SuiteProcess],
    after drains: [ServiceInstance]
  ) -> Bool {
    let service = process.instance.service
    guard service.isReplicated, process.isReady else { return true }
    guard !drains.contains(where: { $0.service == service }) else { return false }
    let others = actual.filter { $0.instance.service == service && $0.instance != process.instance }
    return others.contains(where: \.isReady)
      && !others.contains {
        $0.state == .draining || ($0.state == .starting && $0.failedStarts == 0)
      }
  }

  /// The process that stands in while the only replica of a service is replaced; then it is a surplus one.
  private func standIn(for service: Service, among actual: [SuiteProcess]) -> ServiceInstance? {
    guard count(of: service) == 1, let instance = ServiceInstance.standIn(of: service),
      let only = actual.first(where: { $0.instance == ServiceInstance(service) }),
      isReplaced(only), only.isReady || only.state == .draining
    else { return nil }
    return instance
  }

  /// Whether a surplus process may go: its service must not lose the last one that takes requests while those
  /// that stay take none.
  private func isDispensable(_ surplus: SuiteProcess, among actual: [SuiteProcess]) -> Bool {
    let service = surplus.instance.service
    return !surplus.isReady
      || actual.contains {
        $0.instance.service == service && $0.instance.number <= count(of: service) && $0.isReady
      }
  }
}
