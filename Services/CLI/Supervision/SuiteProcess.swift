/// One process of a suite as its supervisor sees it.
package struct SuiteProcess: Sendable, Codable, Equatable {
  /// What the process is doing.
  package enum State: String, Sendable, Codable {
    /// It was started; to `ready`, or `restarting` if it ends first.
    case starting
    /// It takes requests; to `draining` or `restarting`.
    case ready
    /// It was asked to end and finishes its requests; then it is gone.
    case draining
    /// It ended by itself and waits to be started again.
    case restarting
  }

  /// The process's name.
  package let instance: ServiceInstance
  /// What it is doing.
  package var state = State.starting
  /// The number of its last start, counted over all processes of the suite: a later process of the same name has a
  /// higher one.
  package var run: Int
  /// The process id, nil while there is no process.
  package var pid: Int32?
  /// Where it listens; those of its last run while it is not ready.
  package var ports: ServicePorts?
  /// When it was started, in milliseconds of Unix time.
  package var startedAtMs: Int64?
  /// How often it was started again after it had ended by itself.
  package var restarts = 0
  /// How many of its last starts ended before it was ready.
  package var failedStarts = 0
  /// Why the last run ended by itself.
  package var failure: String?

  private enum CodingKeys: String, CodingKey {
    case instance = "name"
    case state, run, pid, ports, startedAtMs, restarts, failedStarts, failure
  }

  /// A process that is about to be started.
  package init(_ instance: ServiceInstance, run: Int, ports: ServicePorts? = nil) {
    self.instance = instance
    self.run = run
    self.ports = ports
  }

  /// A process that is ready.
  package var isReady: Bool { state == .ready }

  /// Where calls to it go, nil while it takes none.
  package var address: String? {
    guard isReady, let port = ports?.rpc else { return nil }
    return "127.0.0.1:\(port)"
  }
}
