import NIOCore

/// Looks a channel's name up, again and again, and tells what it finds.
///
/// `@unchecked Sendable`: the variables are used on `eventLoop` alone.
final class NameResolver: @unchecked Sendable {
  private let name: Endpoint
  private let lookup: EndpointLookup
  private let random: RandomSource
  private let eventLoop: any EventLoop
  private let publish: (Result<[Endpoint], RPCError>) -> Void
  private let prefersOneFamily: Bool
  private var schedule: ResolutionSchedule
  private var timer: Scheduled<Void>?
  private var task: Task<Void, Never>?
  private var isStopped = false

  /// Creates a resolver; `publish` is called on the loop.
  ///
  /// With `prefersOneFamily` a name has its IPv4 addresses or, without any, its IPv6 ones: a server
  /// that listens on both is one endpoint.
  init(
    _ name: Endpoint,
    _ configuration: ChannelConfiguration,
    _ eventLoop: any EventLoop,
    prefersOneFamily: Bool,
    publish: @escaping (Result<[Endpoint], RPCError>) -> Void
  ) {
    self.name = name
    lookup = configuration.lookup
    random = configuration.random
    self.eventLoop = eventLoop
    self.prefersOneFamily = prefersOneFamily
    self.publish = publish
    schedule = ResolutionSchedule(
      gap: configuration.resolutionGap,
      interval: configuration.resolutionInterval
    )
  }

  /// Asks for a look, now or when the gap is over.
  func lookAgain() {
    eventLoop.assertInEventLoop()
    guard !isStopped else { return }
    schedule.asked(at: eventLoop.now)
    arm()
  }

  /// Looks no more; what is still found is not told.
  func stop() {
    isStopped = true
    timer?.cancel()
    task?.cancel()
  }

  private func arm() {
    timer?.cancel()
    timer = nil
    guard !isStopped, let due = schedule.due else { return }
    guard due > eventLoop.now else { return look() }
    timer = eventLoop.scheduleTask(deadline: due) { self.look() }
  }

  private func look() {
    schedule.began(at: eventLoop.now)
    let (lookup, host, eventLoop) = (lookup, name.host, eventLoop)
    task = Task {
      let result: Result<[String], RPCError>
      do throws(RPCError) {
        result = .success(try await lookup.boundedAddresses(of: host))
      } catch {
        result = .failure(error)
      }
      eventLoop.execute { self.found(result) }
    }
  }

  private func found(_ result: Result<[String], RPCError>) {
    guard !isStopped else { return }
    let endpoints = result.flatMap { addresses -> Result<[Endpoint], RPCError> in
      guard !addresses.isEmpty else {
        return .failure(RPCError(.unavailable, "look up \(name.host): no address"))
      }
      return .success(self.endpoints(addresses))
    }
    var isSuccess = false
    if case .success = endpoints { isSuccess = true }
    schedule.ended(at: eventLoop.now, isSuccess: isSuccess, random)
    publish(endpoints)
    arm()
  }

  /// In the order of the addresses, each once; sorted where the order does not matter, so that a
  /// server of names that turns its list around tells nothing new.
  private func endpoints(_ addresses: [String]) -> [Endpoint] {
    let four = addresses.filter { !$0.contains(":") }
    let chosen = prefersOneFamily && !four.isEmpty ? four : addresses
    var known: Set<String> = []
    let distinct = chosen.filter { known.insert($0).inserted }
    return (prefersOneFamily ? distinct.sorted() : distinct)
      .map { Endpoint(host: $0, port: name.port) }
  }
}
