import NIOCore

@testable import RPC

/// Connects clients to servers of one world, and fails in every way that a network does.
///
/// `@unchecked Sendable`: as its world.
final class SimulatedNetwork: @unchecked Sendable {
  /// One connection with both ends.
  final class Link {
    let client: SimulatedSocket
    let server: SimulatedSocket
    let up: SimulatedPipe
    let down: SimulatedPipe
    weak var clientConnection: ClientConnection?
    weak var serverConnection: ServerConnection?

    init(_ world: SimulatedWorld, _ client: SimulatedLoop, _ server: SimulatedLoop, _ capacity: Int)
    {
      self.client = SimulatedSocket(client)
      self.server = SimulatedSocket(server)
      up = SimulatedPipe(world, from: self.client, to: self.server, capacity: capacity)
      down = SimulatedPipe(world, from: self.server, to: self.client, capacity: capacity)
      self.client.output = up
      self.server.output = down
    }

    var isGone: Bool { !client.isOpen && !server.isOpen }
  }

  private let world: SimulatedWorld
  private let serverLoop: SimulatedLoop
  /// What accepts connections; nil refuses them.
  var core: ServerCore?
  /// The chance that an attempt to connect comes to nothing.
  var refusals = 0.0
  /// The bytes that one direction of a connection takes in.
  var capacity = 64 * 1024
  private(set) var links: [Link] = []
  private(set) var connects = 0

  init(_ world: SimulatedWorld, _ serverLoop: SimulatedLoop) {
    self.world = world
    self.serverLoop = serverLoop
  }

  var connector: Connector {
    Connector { attempt in
      let promise = attempt.eventLoop.makePromise(of: Void.self)
      guard let loop = attempt.eventLoop as? SimulatedLoop else {
        promise.fail(ChannelError.operationUnsupported)
        return promise.futureResult
      }
      let isLost = self.world.chance(self.refusals / 2)
      let isRefused = self.core == nil || self.world.chance(self.refusals)
      let delay = isLost ? attempt.timeout : .microseconds(self.world.number(in: 20...5_000))
      _ = self.world.schedule(at: self.world.now + delay, on: loop, isForeign: false) {
        self.world.trace("connect", isLost ? 2 : isRefused ? 1 : 0)
        if isLost || isRefused || self.core == nil {
          promise.fail(isLost ? ChannelError.connectTimeout(attempt.timeout) : ChannelError.eof)
        } else {
          self.connect(attempt, loop, promise)
        }
      }
      return promise.futureResult
    }
  }

  private func connect(
    _ attempt: Connector.Attempt,
    _ loop: SimulatedLoop,
    _ promise: EventLoopPromise<Void>
  ) {
    connects += 1
    links.removeAll { $0.isGone }
    let link = Link(world, loop, serverLoop, capacity)
    links.append(link)
    // What the client sends meanwhile waits with the connection.
    let due = world.now + .microseconds(world.number(in: 0...3_000))
    link.up.stalledUntil = due
    _ = world.schedule(at: due, on: serverLoop, isForeign: false) { self.accept(link) }
    do {
      try attempt.configure(link.client)
    } catch {
      link.client.close0(error: error, mode: .all, promise: nil)
      return promise.fail(error)
    }
    link.clientConnection = try? link.client.pipeline.syncOperations.handler(
      type: ClientConnection.self
    )
    promise.succeed()
    link.client.activate()
  }

  private func accept(_ link: Link) {
    do {
      guard let core else { throw ChannelError.eof }
      try RPCServer.configure(link.server, core: core, remoteAddress: "simulated")
      link.serverConnection = try link.server.pipeline.syncOperations.handler(
        type: ServerConnection.self
      )
      link.server.activate()
      link.server.push()
    } catch {
      link.server.close0(error: error, mode: .all, promise: nil)
    }
  }

  /// The state of the connections that are left; for messages.
  var summary: String {
    let states = links.filter { !$0.isGone }.map { link in
      "client \(link.client.isOpen) server \(link.server.isOpen)"
        + " up \(link.up.isSilent) down \(link.down.isSilent)"
    }
    return "\(connects) connects, open: \(states)"
  }

  // MARK: Failures

  /// Does one bad thing to one connection, if there is any.
  func disturb() {
    let open = links.filter { !$0.isGone }
    guard !open.isEmpty else { return }
    let link = world.pick(open)
    let fault = world.number(in: 0...5)
    world.trace("fault", fault)
    switch fault {
    case 0:
      link.up.reset()
      link.down.reset()
    case 1: link.down.isSilent = true
    case 2: link.up.isSilent = true
    case 3:
      link.up.isSilent = true
      link.down.reset()
    default:
      // Both ways at once, or one: acknowledgements and windows are late while data comes.
      let until = world.now + .milliseconds(world.number(in: 1...4_000))
      if fault == 4 || world.chance(0.5) { link.up.stalledUntil = until }
      if fault == 4 || world.chance(0.5) { link.down.stalledUntil = until }
    }
  }
}
