import NIOCore

/// A channel without a socket: what is written goes into a pipe of the simulated network.
///
/// It behaves as NIO's own over TCP: bytes that the pipe does not take wait, and too many of them make it
/// unwritable; the peer's end of its output closes the channel; closing drops what waits.
///
/// `@unchecked Sendable`: as its world.
final class SimulatedSocket: Channel, ChannelCore, @unchecked Sendable {
  private static let highWatermark = 64 * 1024
  private static let lowWatermark = 32 * 1024

  let loop: SimulatedLoop
  let closePromise: EventLoopPromise<Void>
  private(set) var isActive = false
  private(set) var isWritable = true
  private(set) var isOpen = true
  private var hasEndedOutput = false
  private var unflushed = ByteBuffer()
  /// Flushed bytes that the pipe has no room for.
  private var waiting = ByteBuffer()
  private var pipelineStorage: ChannelPipeline?
  /// Where the bytes go; set before the channel is activated.
  var output: SimulatedPipe?

  init(_ loop: SimulatedLoop) {
    self.loop = loop
    closePromise = loop.makePromise(of: Void.self)
    pipelineStorage = ChannelPipeline(channel: self)
  }

  var eventLoop: any EventLoop { loop }
  var allocator: ByteBufferAllocator { ByteBufferAllocator() }
  var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
  var pipeline: ChannelPipeline {
    guard let pipelineStorage else { preconditionFailure("a channel without its pipeline") }
    return pipelineStorage
  }
  var localAddress: SocketAddress? { nil }
  var remoteAddress: SocketAddress? { nil }
  var parent: (any Channel)? { nil }
  var _channelCore: any ChannelCore { self }

  func setOption<O: ChannelOption>(_ option: O, value: O.Value) -> EventLoopFuture<Void> {
    loop.makeSucceededVoidFuture()
  }

  func getOption<O: ChannelOption>(_ option: O) -> EventLoopFuture<O.Value> {
    loop.makeFailedFuture(ChannelError.operationUnsupported)
  }

  // MARK: What the network does; on the loop

  /// The connection stands.
  func activate() {
    guard isOpen else { return }
    isActive = true
    pipeline.fireChannelRegistered()
    pipeline.fireChannelActive()
  }

  func receive(_ bytes: ByteBuffer) {
    pipeline.fireChannelRead(bytes)
    pipeline.fireChannelReadComplete()
  }

  /// The peer has ended its output.
  func receiveEnd() {
    guard isOpen else { return }
    close0(error: ChannelError.eof, mode: .all, promise: nil)
  }

  /// The peer, or the network, has reset the connection.
  func receiveReset() {
    guard isOpen else { return }
    let error = IOError(errnoCode: 104, reason: "read")
    pipeline.fireErrorCaught(error)
    close0(error: error, mode: .all, promise: nil)
  }

  /// The pipe may have room again.
  func push() {
    guard isOpen, let output else { return }
    output.take(from: &waiting)
    if hasEndedOutput, waiting.readableBytes == 0 { output.end() }
    let isFull = waiting.readableBytes > (isWritable ? Self.highWatermark : Self.lowWatermark)
    guard isFull == isWritable else { return }
    isWritable.toggle()
    pipeline.fireChannelWritabilityChanged()
  }

  // MARK: ChannelCore

  func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard isOpen, !hasEndedOutput else {
      return promise?.fail(ChannelError.ioOnClosedChannel) ?? ()
    }
    var bytes = unwrapData(data, as: ByteBuffer.self)
    unflushed.writeBuffer(&bytes)
    promise?.succeed()
  }

  func flush0() {
    guard isOpen else { return }
    waiting.writeBuffer(&unflushed)
    unflushed.clear()
    push()
  }

  func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    guard isOpen else { return promise?.fail(ChannelError.alreadyClosed) ?? () }
    if mode == .output {
      hasEndedOutput = true
      promise?.succeed()
      return push()
    }
    isOpen = false
    isActive = false
    waiting.clear()
    unflushed.clear()
    promise?.succeed()
    output?.senderClosed()
    pipeline.fireChannelInactive()
    pipeline.fireChannelUnregistered()
    loop.execute {
      self.removeHandlers(pipeline: self.pipeline)
      self.closePromise.succeed()
    }
  }

  func localAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }
  func remoteAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }
  func register0(promise: EventLoopPromise<Void>?) { promise?.succeed() }
  func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) { promise?.succeed() }
  func bind0(to: SocketAddress, promise: EventLoopPromise<Void>?) { promise?.succeed() }
  func connect0(to: SocketAddress, promise: EventLoopPromise<Void>?) { promise?.succeed() }
  func read0() {}
  func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
    promise?.succeed()
  }
  func channelRead0(_ data: NIOAny) {}
  func errorCaught0(error: any Error) {}
}

/// One direction of a simulated connection: holds bytes, and delivers them in pieces, late, or never.
final class SimulatedPipe {
  private let world: SimulatedWorld
  private unowned let sender: SimulatedSocket
  private let receiver: SimulatedSocket
  private let capacity: Int
  private var bytes = ByteBuffer()
  private var hasEnded = false
  private var isScheduled = false
  /// Nothing is delivered any more, and nobody is told.
  var isSilent = false
  /// Nothing is delivered before that.
  var stalledUntil: NIODeadline = .uptimeNanoseconds(0)
  /// Bytes delivered so far.
  private(set) var delivered = 0

  init(
    _ world: SimulatedWorld,
    from sender: SimulatedSocket,
    to receiver: SimulatedSocket,
    capacity: Int
  ) {
    self.world = world
    self.sender = sender
    self.receiver = receiver
    self.capacity = capacity
  }

  /// Takes bytes while there is room.
  func take(from source: inout ByteBuffer) {
    let count = min(source.readableBytes, capacity - bytes.readableBytes)
    guard count > 0, var part = source.readSlice(length: count) else { return }
    bytes.writeBuffer(&part)
    schedule()
  }

  /// Nothing follows.
  func end() {
    guard !hasEnded else { return }
    hasEnded = true
    schedule()
  }

  /// The sender is gone: what the system has of its bytes may still arrive, or a reset destroys it.
  func senderClosed() {
    if world.chance(0.5) { return end() }
    reset()
  }

  /// Drops everything; the receiver learns of it in a while.
  func reset() {
    bytes.clear()
    guard !isSilent else { return }
    isSilent = true
    later { $0.receiver.receiveReset() }
  }

  private func later(_ body: @escaping (SimulatedPipe) -> Void) {
    let delay = world.chance(0.9) ? world.number(in: 10...2_000) : world.number(in: 10...200_000)
    let due = max(world.now, stalledUntil) + .microseconds(Int64(delay))
    _ = world.schedule(at: due, on: receiver.loop, isForeign: false) { body(self) }
  }

  private func schedule() {
    guard !isScheduled, !isSilent, bytes.readableBytes > 0 || hasEnded else { return }
    isScheduled = true
    later { $0.deliver() }
  }

  private func deliver() {
    isScheduled = false
    guard !isSilent else { return }
    guard stalledUntil <= world.now else { return schedule() }
    let left = bytes.readableBytes
    guard left > 0 else {
      world.trace("end", receiver.loop.index)
      return receiver.receiveEnd()
    }
    guard receiver.isOpen else {
      // The answer to bytes for a socket that is gone.
      bytes.clear()
      isSilent = true
      let sender = sender
      _ = world.schedule(at: world.now, on: sender.loop, isForeign: false) { sender.receiveReset() }
      return
    }
    let count = pieceLength(left)
    guard let piece = bytes.readSlice(length: count) else { return }
    bytes.discardReadBytes()
    delivered += count
    world.trace("read", receiver.loop.index, count)
    world.trace(bytes: Array(piece.readableBytesView.prefix(48)))
    receiver.receive(piece)
    let sender = sender
    _ = world.schedule(at: world.now, on: sender.loop, isForeign: false) { sender.push() }
    schedule()
  }

  private func pieceLength(_ left: Int) -> Int {
    let most = min(left, 64 * 1024)
    switch world.number(in: 0...9) {
    case 0...4: return most
    case 5...7: return world.number(in: min(most, 200)...min(most, 4_000))
    default: return left > 2_000 ? min(most, 333) : world.number(in: 1...min(most, 30))
    }
  }
}
