import Logging
import NIOCore
import NIOEmbedded

@testable import FuzzedRPC

/// A whole channel with one call of each kind, against a server that sends any bytes.
enum ClientFuzz {
  /// `@unchecked Sendable`: a fuzzer has one thread.
  private final class Peer: @unchecked Sendable {
    let loop = EmbeddedEventLoop()
    /// The newest connection.
    var channel: EmbeddedChannel?
    var over = 0
    private var connectionsLeft: Int

    init(connections: Int) { connectionsLeft = connections }

    /// Connects so many times; whoever tries again is refused.
    var connector: Connector {
      Connector { attempt in
        guard self.connectionsLeft > 0 else {
          return attempt.eventLoop.makeFailedFuture(ChannelError.eof)
        }
        self.connectionsLeft -= 1
        let channel = EmbeddedChannel(loop: self.loop)
        self.channel = channel
        do {
          try attempt.configure(channel)
          let address = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
          return channel.connect(to: address)
        } catch {
          return attempt.eventLoop.makeFailedFuture(error)
        }
      }
    }
  }

  static func raw(_ bytes: [UInt8]) {
    var input = FuzzInput(bytes)
    let (behaviour, cuts) = (input.byte(), input.byte())
    let peer = Peer(connections: behaviour & 32 == 0 ? 1 : 3)
    let census = Census()
    var configuration = ChannelConfiguration()
    configuration.logger.logLevel = .critical
    configuration.connector = peer.connector
    configuration.census = census
    configuration.random = RandomSource { 7 }
    configuration.maxMessageBytes = 5_000
    configuration.maxMetadataBytes = 4_096
    configuration.streamWindowBytes = 4_096
    configuration.writeBufferBytes = 1_024
    configuration.serviceConfig = serviceConfig(behaviour)
    var channel: RPCChannel? = RPCChannel(
      host: "127.0.0.1",
      port: 1,
      configuration: configuration,
      group: peer.loop
    )
    let executor = LoopExecutor(peer.loop)
    let kinds = FuzzMethods.all.indices.filter { behaviour >> UInt8($0) & 1 == 0 }
    if let channel { for kind in kinds { spawn(kind, channel, peer, executor) } }
    peer.loop.run()
    if behaviour & 16 == 0 { receive(SessionFuzz.settings, peer) }
    for piece in input.pieces(cuts) {
      receive(piece, peer)
      // Attempts and connections that follow others.
      if behaviour & 32 != 0 { peer.loop.advanceTime(by: .milliseconds(150)) }
    }
    peer.loop.advanceTime(by: .seconds(1))
    channel?.closeSoon()
    channel = nil
    peer.loop.run()
    peer.loop.advanceTime(by: .hours(1))
    precondition(peer.over == kinds.count, "\(peer.over) of \(kinds.count) calls are over")
    for kind in [Census.Kind.clientCall, .clientAttempt] {
      precondition(census[kind].alive == 0, "\(census[kind].alive) of kind \(kind) are left")
    }
  }

  /// Calls that are made once, again, or several times at once.
  private static func serviceConfig(_ behaviour: UInt8) -> ServiceConfig {
    let codes: Set<StatusCode> = [.unavailable, .unknown, .internal]
    var method = MethodConfig(name: [MethodConfig.Name()], waitForReady: behaviour & 32 != 0)
    if behaviour & 64 != 0 {
      let policy = MethodConfig.RetryPolicy(
        maxAttempts: 4,
        initialBackoff: .milliseconds(50),
        maxBackoff: .seconds(1),
        retryableStatusCodes: codes,
        perAttemptReceiveTimeout: .seconds(5)
      )
      method.repetition = .retry(policy)
    } else if behaviour & 128 != 0 {
      let policy = MethodConfig.HedgingPolicy(
        maxAttempts: 3,
        hedgingDelay: .milliseconds(100),
        nonFatalStatusCodes: codes
      )
      method.repetition = .hedge(policy)
    }
    return ServiceConfig(methodConfig: [method])
  }

  private static func receive(_ bytes: [UInt8], _ peer: Peer) {
    guard let channel = peer.channel, channel.isActive else { return }
    _ = try? channel.writeInbound(ByteBuffer(bytes: bytes))
    peer.loop.run()
    while let sent = try? channel.readOutbound(as: ByteBuffer.self) { _ = sent }
  }

  private static func spawn(
    _ kind: Int,
    _ channel: RPCChannel,
    _ peer: Peer,
    _ executor: LoopExecutor
  ) {
    Task(executorPreference: executor) {
      let message = FuzzMessage([UInt8](repeating: 7, count: 3_000))
      do {
        switch kind {
        case 0: _ = try await channel.unary(FuzzMethods.unary, message) as FuzzMessage
        case 1:
          let responses: ResponseStream<FuzzMessage> = try await channel.serverStreaming(
            FuzzMethods.expand,
            message
          )
          for try await _ in responses {}
        case 2:
          _ =
            try await channel.clientStreaming(FuzzMethods.collect) {
              (requests: RequestWriter<FuzzMessage>) in
              for _ in 0..<3 { try await requests.write(message) }
            } as FuzzMessage
        default:
          let call: BidirectionalCall<FuzzMessage, FuzzMessage> = try await channel.bidirectional(
            FuzzMethods.chat
          )
          try await call.requests.write(message)
          for try await response in call.responses { try await call.requests.write(response) }
        }
      } catch {}
      peer.over += 1
    }
  }
}
