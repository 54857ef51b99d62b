import Hummingbird
import NIOCore
import RPC
import ServiceAPI
import ServiceKit

/// Writes a job's events to its client as they happen, until the job has ended.
struct FineTuningEventStream: Sendable {
  let job: String
  let events: ResponseStream<TrainingV1.JobEvent>
  let channel: any Channel
  let entry: RequestLoad.Entry?
  let context: ServiceKit.RequestContext?

  /// The longest a stream may take; a client goes on from its last event.
  static let timeout: Duration = .seconds(86_400)

  /// Writes all events and ends the body.
  func write(to writer: inout any ResponseBodyWriter) async throws {
    let (events, channel) = (events, channel)
    let watch = ClientWatch { error in
      events.cancel()
      if error.code == .deadlineExceeded { channel.close(promise: nil) }
    }
    let timer = watch.start(
      on: channel,
      timeout: Self.timeout,
      timeoutError: GatewayError(.deadlineExceeded, "The stream ends after \(Self.timeout).")
    )
    defer { watch.stop(timer, on: channel) }
    do {
      if let failure = try await writeEvents(to: &writer) {
        if let error = watch.error { throw error }
        try await writer.write(ByteBuffer(bytes: Array("data: ".utf8) + failure.body + Self.end))
      } else {
        try await writer.write(ByteBuffer(string: "data: [DONE]\n\n"))
      }
      try await writer.finish(nil)
      entry?.finish(status: 200)
    } catch {
      // The connection is gone.
      entry?.finish(status: GatewayError.clientClosed.status)
      throw error
    }
  }

  private static let end = Array("\n\n".utf8)

  /// Throws what the connection throws, returns what the watch failed of.
  private func writeEvents(to writer: inout any ResponseBodyWriter) async throws -> GatewayError? {
    var iterator = events.makeAsyncIterator()
    while true {
      let event: TrainingV1.JobEvent
      do throws(RPCError) {
        guard let next = try await iterator.next() else { return nil }
        event = next
      } catch {
        return ServiceKit.RequestContext.$current.withValue(context) {
          FineTuningHandler.failure(error, job: job)
        }
      }
      var json = JSONText()
      FineTuningEvent.append(event, of: job, to: &json)
      try await writer.write(ByteBuffer(bytes: Array("data: ".utf8) + json.bytes + Self.end))
    }
  }
}
