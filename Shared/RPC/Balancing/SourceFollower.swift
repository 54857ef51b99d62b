import Logging
import NIOCore
import Synchronization

/// Looks at one source of endpoints, again and again.
final class SourceFollower: Sendable {
  private let source: EndpointSource
  private let configuration: ReplicaSetConfiguration
  private let eventLoop: any EventLoop
  private let wakeups: AsyncStream<Void>
  private let continuation: AsyncStream<Void>.Continuation
  /// Whether names are to be looked up at the next look, due or not.
  private let isPoked = Atomic(false)

  init(
    _ source: EndpointSource,
    _ configuration: ReplicaSetConfiguration,
    _ eventLoop: any EventLoop
  ) {
    self.source = source
    self.configuration = configuration
    self.eventLoop = eventLoop
    (wakeups, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Asks for a look soon.
  func poke() {
    isPoked.store(true, ordering: .releasing)
    continuation.yield()
  }

  /// Tells each list that is new, until the task is cancelled; a look that fails, or finds nothing, changes nothing.
  ///
  /// Returns after the first list of a source that cannot change.
  func run(_ publish: ([Endpoint]) -> Void) async {
    var last: [Endpoint] = []
    var lastFailure: String?
    var names = ResolvedNames()
    var namesDue = ContinuousClock.now
    var iterator = wakeups.makeAsyncIterator()
    while !Task.isCancelled {
      var failure: String?
      do throws(RPCError) {
        // A file is read more often than its names are looked up.
        let isPoked = isPoked.exchange(false, ordering: .acquiring)
        let isDue = isPoked || namesDue <= .now
        if isDue { namesDue = .now + configuration.resolveInterval }
        let endpoints = try await configuration.lookup.endpoints(
          of: source,
          names: &names,
          isAnew: isDue
        )
        failure = names.failure?.message
        if endpoints.isEmpty {
          failure = "it names no endpoint"
        } else if endpoints != last {
          last = endpoints
          publish(endpoints)
        }
      } catch {
        failure = error.message
      }
      guard !Task.isCancelled else { return }
      if let failure, failure != lastFailure {
        configuration.logger.warning(
          "no new list of replicas",
          metadata: ["source": "\(source)", "reason": "\(failure)"]
        )
      }
      lastFailure = failure
      guard let interval else { return }
      let continuation = continuation
      let timer = eventLoop.scheduleTask(in: TimeAmount(interval)) { continuation.yield() }
      _ = await iterator.next()
      timer.cancel()
      try? await Task.sleep(for: configuration.resolveGap)
    }
  }

  /// The time between two looks; nil if one is enough.
  private var interval: Duration? {
    switch source {
    case .file: min(configuration.fileInterval, configuration.resolveInterval)
    case .endpoint(let endpoint):
      EndpointLookup.isAddress(endpoint.host) ? nil : configuration.resolveInterval
    }
  }
}
