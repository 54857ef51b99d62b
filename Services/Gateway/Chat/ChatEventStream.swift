import Hummingbird
import Logging
import NIOCore
import RPC
import ServiceAPI
import ServiceKit

/// Writes a generation to its client as it is made.
///
/// One task reads the inference service and writes the client's connection, so a slow client slows
/// its own generation and nobody else's. The connection's event loop ends the call when the client
/// goes away.
struct ChatEventStream: Sendable {
  let frames: ChatStreamFrames
  let includeUsage: Bool
  /// Here already or, when the generation is slow to begin, still to come.
  let first: FirstEvent
  let channel: any Channel
  let limits: RequestLimits
  let metrics: GatewayMetrics
  let entry: RequestLoad.Entry?
  let context: ServiceKit.RequestContext?
  let logger: Logger

  /// Writes all events and ends the body.
  func write(to writer: inout any ResponseBodyWriter) async throws {
    let (first, channel) = (first, channel)
    let watch = ClientWatch { error in
      first.cancel()
      // A writer that waits for the client to read is freed only by the connection's end.
      if error.code == .deadlineExceeded { channel.close(promise: nil) }
    }
    let timer = watch.start(
      on: channel,
      timeout: limits.watchTimeout,
      timeoutError: limits.timeoutError
    )
    defer { watch.stop(timer, on: channel) }
    do {
      if var failure = try await writeEvents(to: &writer) {
        // A call that the watch cancelled says only that.
        if let error = watch.error {
          failure = error.code == .unavailable ? .interrupted(cause: nil) : error
        }
        if failure.code == .clientClosed { throw failure }
        log(failure)
        try await writer.write(ByteBuffer(bytes: ChatStreamFrames.error(failure)))
      }
      try await writer.finish(nil)
      entry?.finish(status: 200)
    } catch {
      // The connection is gone.
      entry?.finish(status: GatewayError.clientClosed.status)
      throw error
    }
  }

  /// Writes the events up to `[DONE]`.
  ///
  /// Throws what the connection throws, returns what the generation failed of.
  private func writeEvents(to writer: inout any ResponseBodyWriter) async throws -> GatewayError? {
    var bytes = frames.role
    if !first.isDone {
      try await writer.write(ByteBuffer(bytes: bytes))
      bytes.removeAll(keepingCapacity: true)
    }
    let generation: Generation
    do throws(RPCError) {
      generation = try await first.value()
    } catch {
      return failure(error)
    }
    if let entry { metrics.timeToFirstToken.observe(entry.elapsed) }
    var next: InferenceV1.GenerateResponse? = generation.first
    var iterator = generation.rest.makeAsyncIterator()
    while let response = next {
      switch response.event {
      case .chunk(let chunk): if !chunk.text.isEmpty { frames.append(text: chunk.text, to: &bytes) }
      case .complete(let complete):
        bytes += frames.finish(.init(complete))
        if includeUsage { bytes += frames.usage(.init(complete)) }
        bytes += ChatStreamFrames.done
        try await writer.write(ByteBuffer(bytes: bytes))
        // The status that follows says nothing new.
        _ = try? await iterator.next()
        generation.lease.release(.answered)
        return nil
      case nil: break
      }
      if !bytes.isEmpty {
        try await writer.write(ByteBuffer(bytes: bytes))
        bytes.removeAll(keepingCapacity: true)
      }
      do throws(RPCError) {
        next = try await iterator.next()
      } catch {
        generation.lease.release(ReplicaAttempts.outcome(of: error))
        // What was streamed cannot be taken back, so the client has to ask again.
        return error.code == .unavailable ? .interrupted(cause: error) : failure(error)
      }
    }
    return failure(.incompleteGeneration)
  }

  private func failure(_ error: RPCError) -> GatewayError {
    ServiceKit.RequestContext.$current.withValue(context) {
      GatewayError(error, from: "inference")
    }
  }

  private func log(_ failure: GatewayError) {
    ServiceKit.RequestContext.$current.withValue(context) {
      logger.warning(
        "stream failed: \(failure.message)",
        metadata: ["cause": "\(failure.cause.map(String.init(describing:)) ?? "none")"]
      )
    }
  }
}
