/// What a supervisor tells its user.
package enum SupervisionEvent: Sendable {
  /// Every process that was asked for at the start is ready.
  case ready(SuiteDescription, after: Duration)
  /// A process ended by itself and is started again after `delay`.
  case restarting(ServiceInstance, ended: String, delay: Duration)
  /// A process that was started later, or again, is ready.
  case isReady(SuiteProcess)
  /// A process was asked to end.
  case draining(SuiteProcess)
  /// A process that was asked to end is gone.
  case gone(ServiceInstance)
  /// A file of the suite could not be read or written; all goes on without it.
  case ignored(SupervisionError)
}
