import Hummingbird
import NIOCore
import RPC
import ServiceAPI
import ServiceKit

/// `/v1/fine_tuning/jobs/{id}/events`: what happened to a job, by page or as it happens.
struct FineTuningEventsHandler: Sendable {
  /// Events of one page.
  static let pageMax = 1000

  let backends: Backends
  let limits: RequestLimits

  /// `GET /v1/fine_tuning/jobs/{id}/events`: the newest first, or with `stream=true` all as they come, the oldest first.
  func answer(_ id: String, _ request: Request, _ context: HTTPContext) async throws -> Response {
    let query = PageQuery(request)
    try query.refuseUnknown(["after", "limit", "stream"])
    let limit = try query.integer("limit", in: 1...Self.pageMax) ?? FineTuningHandler.pageDefault
    let after = try query.text("after").map { try FineTuningEvent.cursor(of: $0, job: id) }
    // A HEAD is answered without a body, which nobody then would end.
    let isStream = try query.bool("stream") && request.method != .head
    try RequestLoad.current?.beginEvents()
    if isStream { return try await streamed(id, after: after ?? 0, context.channel) }
    return try await bounded(context.channel) { try await page(id, before: after, limit) }
  }

  /// Runs while the client waits and there is time.
  private func bounded<Value: Sendable>(
    _ channel: any Channel,
    _ body: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    try await Deadline.$current.withValue(.after(limits.timeout)) {
      try await ClientWatch.run(
        on: channel,
        timeout: limits.watchTimeout,
        timeoutError: limits.timeoutError,
        body
      )
    }
  }

  /// The newest events that are older than the one at `cursor`, without one the newest of all.
  private func page(_ id: String, before cursor: UInt64?, _ limit: Int) async throws -> Response {
    let job = try await job(id)
    var newest = NewestEvents(limit: limit + 1)
    do throws(RPCError) {
      // Never beyond what is there: a job that runs would be waited for.
      let end = min(cursor.map { $0 == 0 ? 0 : $0 - 1 } ?? .max, job.cursor)
      if end > 0 {
        var watch = TrainingV1.WatchJobRequest()
        watch.id = id
        for try await event in try await backends.training.watchJob(
          watch,
          options: backends.callOptions
        ) {
          if event.cursor <= end { newest.append(event) }
          if event.cursor >= end { break }
        }
      }
    } catch {
      throw FineTuningHandler.failure(error, job: id)
    }
    let page = newest.events
    return .json(
      Page.json(
        Array(page.prefix(limit)),
        id: { FineTuningEvent.id($0, of: id) },
        hasMore: page.count > limit
      ) { FineTuningEvent.append($0, of: id, to: &$1) }
    )
  }

  private func job(_ id: String) async throws(GatewayError) -> TrainingV1.Job {
    var request = TrainingV1.GetJobRequest()
    request.id = id
    do throws(RPCError) {
      return try await backends.training.getJob(request, options: backends.callOptions)
    } catch {
      throw FineTuningHandler.failure(error, job: id)
    }
  }

  private func streamed(
    _ id: String,
    after cursor: UInt64,
    _ channel: any Channel
  ) async throws -> Response {
    _ = try await bounded(channel) { try await job(id) }
    var watch = TrainingV1.WatchJobRequest()
    watch.id = id
    watch.afterCursor = cursor
    let events: ResponseStream<TrainingV1.JobEvent>
    do throws(RPCError) {
      // No deadline: a job takes as long as it takes.
      events = try await backends.training.watchJob(watch, options: backends.callOptions)
    } catch {
      throw FineTuningHandler.failure(error, job: id)
    }
    let stream = FineTuningEventStream(
      job: id,
      events: events,
      channel: channel,
      entry: RequestLoad.current,
      context: ServiceKit.RequestContext.current
    )
    return Response(
      status: .ok,
      headers: [
        .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache",
        .accelBuffering: "no",
      ],
      body: ResponseBody { try await stream.write(to: &$0) }
    )
  }
}

/// The newest events of a stream, the newest first.
private struct NewestEvents {
  let limit: Int
  private var ring: [TrainingV1.JobEvent] = []
  private var next = 0

  init(limit: Int) { self.limit = limit }

  mutating func append(_ event: TrainingV1.JobEvent) {
    if ring.count < limit {
      ring.append(event)
    } else {
      ring[next] = event
      next = (next + 1) % limit
    }
  }

  var events: [TrainingV1.JobEvent] { (ring[next...] + ring[..<next]).reversed() }
}
