/// What a channel tells of itself.
extension ChannelCore {
  /// What the channel is about.
  var status: ChannelStatus {
    let endpoints = table.entries.map { entry in
      ChannelStatus.EndpointStatus(entry, subchannels[entry.id])
    }
    var states = Set(endpoints.map(\.state))
    if cannotResolve { states.insert(.transientFailure) }
    let order: [ConnectivityState] = [.ready, .connecting, .idle, .transientFailure]
    return ChannelStatus(
      id: entityID,
      target: "\(target)",
      state: isClosed ? .shutdown : order.first(where: states.contains) ?? .idle,
      endpoints: endpoints,
      outstandingCalls: outstandingCalls,
      calls: callCounts
    )
  }

  /// What is counted of calls; nothing once every call is over.
  struct Counts: Equatable, Sendable {
    var calls = 0
    var queued = 0
    var outstanding = 0
  }

  /// The counts now, less what is over and still stands in a queue.
  func counts() -> Counts {
    purge()
    let attempts = subchannels.values.reduce(0) { $0 + $1.outstanding }
    let listed = table.entries.reduce(0) { $0 + $1.outstanding }
    return Counts(
      calls: outstandingCalls,
      queued: queuedCount,
      outstanding: max(abs(attempts), abs(listed))
    )
  }
}
