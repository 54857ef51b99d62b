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
    let wanted = Set(instances)
    let drains = actual.filter { process in
      guard process.state != .draining else { return false }
      guard wanted.contains(process.instance) else { return isDispensable(process, among: actual) }
      return process.run <= replaced[process.instance, default: -1]
    }
    let present = Set(actual.map(\.instance))
    return drains.map(\.instance).sorted(by: >).map { .drain($0) }
      + instances.filter { !present.contains($0) }.map { .start($0) }
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
