import Logging
import NIOCore
import RPC
import ServiceAPI
import ServiceKit

/// The replicas of the inference service: each call is made on one that is ready, and made again on another if the
/// first refuses it or is lost before anything of the answer was used.
struct InferenceReplicas: Sendable {
  /// How long a watch waits for the replica's server to be there.
  private static let watchTimeout: Duration = .seconds(600)

  let replicas: ReplicaSet
  let metrics: ReplicaMetrics
  let budget = RetryBudget()
  /// How long a call waits for a replica that is ready, all attempts together.
  let readyTimeout: Duration

  /// Describes the replicas; they are looked up by ``run()``.
  ///
  /// `onChange` is told when another number of them is ready, on any thread; it must not block.
  init(
    _ configuration: ReplicaSetConfiguration,
    readyTimeout: Duration,
    metrics: MetricsRegistry,
    health: HealthRegistry,
    group: any EventLoopGroup,
    logger: Logger,
    onChange: @escaping @Sendable () -> Void = {}
  ) {
    var configuration = configuration
    configuration.channel.maxMessageBytes = Backends.answerBytesMax
    configuration.logger = logger
    let name = "inference"
    health.setReadiness(name, failure: "no replica is known yet")
    replicas = ReplicaSet(
      configuration,
      group: group,
      onChange: { ready, all in
        health.setReadiness(name, failure: ready > 0 ? nil : "0 of \(all) replicas are ready")
        onChange()
      },
      watch: Self.watch
    )
    self.metrics = ReplicaMetrics(metrics, service: name, of: replicas)
    self.readyTimeout = readyTimeout
  }

  /// Follows the list of replicas and their readiness until the task is cancelled.
  func run() async { await replicas.run() }

  /// Ends every call and closes the connections.
  func close() async { await replicas.close() }

  /// Makes a call whose answer is used when it is complete, so that it may always be made again.
  ///
  /// The calls carry the current request's id and trace.
  func call<Response: Sendable>(
    _ body: (InferenceV1.InferenceClient, CallOptions) async throws(RPCError) -> Response
  ) async throws(RPCError) -> Response {
    try await call(leased: { lease, options throws(RPCError) in
      let response = try await body(.init(lease.channel), options)
      lease.release(.answered)
      return response
    })
  }

  /// The same with the replica's lease, which outlives the call if `body` keeps it.
  private func call<Response: Sendable>(
    leased body: (ReplicaLease, CallOptions) async throws(RPCError) -> Response
  ) async throws(RPCError) -> Response {
    var attempts = ReplicaAttempts(self)
    while true {
      let lease = try await attempts.begin()
      do throws(RPCError) {
        let response = try await body(lease, .inheriting())
        budget.refill()
        return response
      } catch {
        guard attempts.failed(lease, error) else { throw error }
      }
    }
  }

  /// Begins a generation; returns when there is something of it to send.
  ///
  /// Until then it may begin anew on another replica.
  func generate(_ request: InferenceV1.GenerateRequest) async throws(RPCError) -> Generation {
    try await call(leased: { lease, options throws(RPCError) in
      let client = InferenceV1.InferenceClient(lease.channel)
      let stream = try await client.generate(request, options: options)
      var iterator = stream.makeAsyncIterator()
      while let response = try await iterator.next() {
        // Nothing is sent for a token that is no whole text yet.
        if case .chunk(let chunk) = response.event, chunk.text.isEmpty { continue }
        return Generation(first: response, rest: stream, lease: lease)
      }
      throw RPCError.incompleteGeneration
    })
  }

  /// Makes every ready replica load a model; one that goes away meanwhile loads it when it is asked for it.
  func load(_ model: String, timeout: Duration) async throws {
    var leases = replicas.leaseAll()
    if leases.isEmpty { leases = [try await replicas.lease(waitingAtMost: readyTimeout)] }
    let options = CallOptions(timeout: timeout)
    let results = await withTaskGroup(of: Result<Void, RPCError>.self) { group in
      for lease in leases {
        group.addTask {
          var request = InferenceV1.LoadModelRequest()
          request.model = model
          do throws(RPCError) {
            let client = InferenceV1.InferenceClient(lease.channel)
            _ = try await client.loadModel(request, options: options)
            lease.release(.answered)
            return .success(())
          } catch {
            lease.release(ReplicaAttempts.outcome(of: error))
            return .failure(error)
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    var lost: RPCError?
    for case .failure(let error) in results {
      guard error.code == .unavailable else { throw error }
      lost = error
    }
    let isLoaded = results.contains { if case .success = $0 { true } else { false } }
    if !isLoaded, let lost { throw lost }
  }

  /// Tells what a replica says of itself by `grpc.health.v1`.
  private static func watch(
    _ channel: RPCChannel,
    _ report: @Sendable (Bool) -> Void
  ) async throws(RPCError) {
    var request = HealthV1.HealthCheckRequest()
    request.service = InferenceV1.InferenceMethods.generate.service
    let statuses = try await HealthV1.HealthClient(channel)
      .watch(request, options: CallOptions(readyTimeout: watchTimeout))
    for try await status in statuses { report(status.status == .serving) }
  }
}

/// A generation that has begun on one replica.
struct Generation: Sendable {
  /// The first response, which has text or is the last.
  let first: InferenceV1.GenerateResponse
  /// What follows.
  let rest: ResponseStream<InferenceV1.GenerateResponse>
  /// Counts the call on its replica until it is released.
  let lease: ReplicaLease
}
