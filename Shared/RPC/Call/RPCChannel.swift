public import NIOCore

/// A client's connections to a server, or to the servers that its target stands for.
///
/// Connects by itself, at once, and heals itself; calls share its HTTP/2 connections, of which there
/// is one per server unless the configuration allows more. It closes when `close` is called or when
/// nobody holds it any more and its last stream is gone.
public final class RPCChannel: Sendable {
  /// No other server, channel or connection of the process has it.
  public var id: Int { lifetime.core.entityID }
  let lifetime: ChannelLifetime

  /// Creates a channel to one server, on one loop of the group, and begins to connect.
  ///
  /// A name is looked up by each attempt to connect.
  public convenience init(
    host: String,
    port: Int,
    configuration: ChannelConfiguration = .init(),
    group: any EventLoopGroup
  ) {
    self.init(
      target: ChannelTarget(host: host, port: port),
      configuration: configuration,
      group: group
    )
  }

  /// Creates a channel to what a text names, such as `dns:///llmos-inference:7102`.
  ///
  /// Throws INVALID_ARGUMENT for a text that is no target (``ChannelTarget``).
  public convenience init(
    target: String,
    configuration: ChannelConfiguration = .init(),
    group: any EventLoopGroup
  ) throws(RPCError) {
    self.init(
      target: try ChannelTarget(parsing: target),
      configuration: configuration,
      group: group
    )
  }

  /// Creates a channel to a target, on one loop of the group, and begins to connect.
  public init(
    target: ChannelTarget,
    configuration: ChannelConfiguration = .init(),
    group: any EventLoopGroup
  ) {
    let core = ChannelCore(
      target: target,
      configuration: configuration,
      eventLoop: group.next()
    )
    lifetime = ChannelLifetime(core)
    core.eventLoop.execute { core.start() }
    LiveEntities.add(self)
  }

  deinit {
    LiveEntities.removeChannel(id)
  }

  /// Calls a method with one request and one response.
  public func unary<I: RPCMessage, O: RPCMessage>(
    _ method: MethodDescriptor,
    _ request: I,
    options: CallOptions = CallOptions()
  ) async throws(RPCError) -> O {
    try await unaryResponse(method, request, options: options).message
  }

  /// Calls a method with one request and one response; returns the metadata with it.
  public func unaryResponse<I: RPCMessage, O: RPCMessage>(
    _ method: MethodDescriptor,
    _ request: I,
    options: CallOptions = CallOptions()
  ) async throws(RPCError) -> UnaryResponse<O> {
    precondition(method.kind == .unary, "RPC channel: \(method.path) is not unary")
    let call = try makeCall(method, options, request: request)
    return try await Self.response(of: call)
  }

  /// Calls a method with one request and any number of responses.
  ///
  /// Returns at once; how the call fails is told by the stream. Dropping the stream, or cancelling
  /// the task that reads it, ends the call.
  public func serverStreaming<I: RPCMessage, O: RPCMessage>(
    _ method: MethodDescriptor,
    _ request: I,
    options: CallOptions = CallOptions()
  ) async throws(RPCError) -> ResponseStream<O> {
    precondition(
      method.kind == .serverStreaming,
      "RPC channel: \(method.path) is not server streaming"
    )
    return ResponseStream(try makeCall(method, options, request: request), lifetime)
  }

  /// Calls a method with the requests that `produce` writes and one response.
  ///
  /// Throws what the server answers, even when `produce` failed because of it; an error of
  /// `produce` itself ends the call and becomes the cause of a CANCELLED.
  public func clientStreaming<I: RPCMessage, O: RPCMessage>(
    _ method: MethodDescriptor,
    options: CallOptions = CallOptions(),
    _ produce: (RequestWriter<I>) async throws -> Void
  ) async throws(RPCError) -> O {
    precondition(
      method.kind == .clientStreaming,
      "RPC channel: \(method.path) is not client streaming"
    )
    let call = try makeCall(method, options)
    let writer = RequestWriter<I>(call)
    do {
      try await produce(writer)
      writer.finish()
    } catch {
      // When the call is over, its outcome says more than the write that failed; else this ends it.
      call.abandon(error)
    }
    return try await Self.response(of: call).message
  }

  /// Calls a method with any number of requests and responses in any order.
  public func bidirectional<I: RPCMessage, O: RPCMessage>(
    _ method: MethodDescriptor,
    options: CallOptions = CallOptions()
  ) async throws(RPCError) -> BidirectionalCall<I, O> {
    precondition(
      method.kind == .bidirectional,
      "RPC channel: \(method.path) is not bidirectional"
    )
    let call = try makeCall(method, options)
    return BidirectionalCall(
      requests: RequestWriter(call),
      responses: ResponseStream(call, lifetime)
    )
  }

  /// What the channel and its endpoints are about, for diagnosis: it may have changed when it is read.
  public func status() async -> ChannelStatus {
    let core = lifetime.core
    return await withCheckedContinuation { continuation in
      core.eventLoop.execute { continuation.resume(returning: core.status) }
    }
  }

  /// Ends every call with CANCELLED and closes the connections.
  public func close() async {
    LiveEntities.removeChannel(id)
    let core = lifetime.core
    let promise = core.eventLoop.makePromise(of: Void.self)
    core.eventLoop.execute { core.close(promise) }
    try? await promise.futureResult.get()
  }

  /// The same, without waiting for it.
  func closeSoon() {
    let core = lifetime.core
    core.eventLoop.execute { core.close(nil) }
  }

  private func makeCall(
    _ method: MethodDescriptor,
    _ options: CallOptions
  ) throws(RPCError)
    -> ClientCall
  {
    let call = try prepareCall(method, options)
    call.start()
    return call
  }

  private func prepareCall(
    _ method: MethodDescriptor,
    _ options: CallOptions
  ) throws(RPCError) -> ClientCall {
    let core = lifetime.core
    let interceptors = core.configuration.interceptors
    guard !interceptors.isEmpty else {
      return try ClientCall(core: core, method: method, options: options)
    }
    var options = options
    let observer = try ClientCallObserver(interceptors, method, &options)
    do throws(RPCError) {
      return try ClientCall(core: core, method: method, options: options, observer: observer)
    } catch {
      observer.refused(error)
      throw error
    }
  }

  private func makeCall(
    _ method: MethodDescriptor,
    _ options: CallOptions,
    request: some RPCMessage
  ) throws(RPCError) -> ClientCall {
    let call = try prepareCall(method, options)
    do throws(RPCError) {
      call.outbox.stage(try MessageFraming.frame(request, call.encoding))
    } catch {
      call.refuse(error)
      throw error
    }
    call.outbox.end()
    call.start()
    return call
  }

  private static func response<O: RPCMessage>(
    of call: ClientCall
  ) async throws(RPCError)
    -> UnaryResponse<O>
  {
    let bytes: ArraySlice<UInt8>
    do throws(RPCError) {
      bytes = try await onlyMessage(of: call)
    } catch {
      // A message that cannot be read says nothing of the call's end.
      call.cancel()
      throw error
    }
    return UnaryResponse(
      message: try O(response: bytes),
      initialMetadata: call.initialMetadata ?? Metadata(),
      trailingMetadata: call.trailingMetadata ?? Metadata()
    )
  }
}

extension RPCChannel {
  /// The response's bytes, once the status is there.
  private static func onlyMessage(
    of call: ClientCall
  ) async throws(RPCError) -> ArraySlice<UInt8> {
    guard let bytes = try await call.inbox.next(for: call) else {
      throw RPCError(.internal, "the call ended with neither response nor error")
    }
    guard try await call.inbox.next(for: call) == nil else {
      throw RPCError(.internal, "the call has two responses")
    }
    return bytes
  }
}

/// Closes the channel when neither the channel nor a stream of it is held any more.
final class ChannelLifetime: Sendable {
  let core: ChannelCore

  init(_ core: ChannelCore) {
    self.core = core
  }

  deinit {
    let core = core
    core.eventLoop.execute { core.close(nil) }
  }
}

extension RPCMessage {
  /// Decodes a response: one that is malformed is the server's fault, not an invalid argument.
  init(response bytes: ArraySlice<UInt8>) throws(RPCError) {
    do throws(RPCError) {
      try self.init(slice: bytes)
    } catch {
      throw RPCError(.internal, "the response is malformed: \(error.message)", cause: error)
    }
  }
}
