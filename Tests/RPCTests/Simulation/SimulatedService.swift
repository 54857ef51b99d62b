import NIOCore

@testable import RPC

/// The handlers and the callers of a simulation; each does what the plan of its call says and
/// compares what it gets with what the plan says was sent.
///
/// `@unchecked Sendable`: as its world.
final class SimulatedService: RPCService, @unchecked Sendable {
  static let serviceName = EchoMethods.service

  let world: SimulatedWorld
  let serverLoop: SimulatedLoop
  let userLoop: SimulatedLoop
  let plans: [SimulatedPlan]
  /// What must not have happened.
  var failures: [String] = []

  init(
    _ world: SimulatedWorld,
    server: SimulatedLoop,
    user: SimulatedLoop,
    plans: [SimulatedPlan]
  ) {
    self.world = world
    serverLoop = server
    userLoop = user
    self.plans = plans
  }

  private func check(_ condition: Bool, _ plan: SimulatedPlan, _ what: @autoclosure () -> String) {
    if !condition { failures.append("call \(plan.id) (\(plan.method.method)): \(what())") }
  }

  // MARK: Handlers

  func register(in router: inout Router) {
    router.unary(EchoMethods.unary) { (request: Bytes, context) -> Bytes in
      let plan = try self.begin(context)
      self.check(request == plan.message(0, isResponse: false), plan, "wrong request")
      try await self.end(plan)
      return plan.message(0, isResponse: true)
    }
    router.serverStreaming(EchoMethods.expand) {
      (request: Bytes, context, responses: ResponseWriter<Bytes>) in
      let plan = try self.begin(context)
      self.check(request == plan.message(0, isResponse: false), plan, "wrong request")
      for index in plan.responses.indices {
        try await responses.write(plan.message(index, isResponse: true))
        await self.pause(plan.handlerPause, plan)
      }
      try await self.end(plan)
    }
    router.clientStreaming(EchoMethods.collect) {
      (requests: RequestStream<Bytes>, context) -> Bytes in
      let plan = try self.begin(context)
      try await self.read(requests, plan) { _ in }
      try await self.end(plan)
      return plan.message(0, isResponse: true)
    }
    router.bidirectional(EchoMethods.chat) {
      (requests: RequestStream<Bytes>, context, responses: ResponseWriter<Bytes>) in
      let plan = try self.begin(context)
      var next = 0
      try await self.read(requests, plan) { _ in
        guard next < plan.responses.count else { return }
        next += 1
        try await responses.write(plan.message(next - 1, isResponse: true))
      }
      for index in plan.responses.indices.dropFirst(next) {
        try await responses.write(plan.message(index, isResponse: true))
      }
      try await self.end(plan)
    }
  }

  private func begin(_ context: ServerContext) throws -> SimulatedPlan {
    guard serverLoop.inEventLoop, let id = context.metadata.first("x-call").flatMap(Int.init) else {
      failures.append("a handler runs elsewhere, or for no call")
      throw RPCError(.internal, "no plan")
    }
    let plan = plans[id]
    world.trace("handler", id)
    if plan.isCompressed { context.compressResponses() }
    check(
      context.metadata.firstBytes("x-bin")?.count ?? 0 == plan.metadataBytes,
      plan,
      "metadata is lost"
    )
    if plan.metadataBytes > 0 { context.setInitialMetadata(plan.metadata) }
    return plan
  }

  private func end(_ plan: SimulatedPlan) async throws {
    await pause(plan.handlerDelay, plan)
    if plan.isStubborn { await pause(.milliseconds(1_500), plan, isStubborn: true) }
    guard plan.status == .ok else { throw RPCError(plan.status, "planned \(plan.id)") }
    try Task.checkCancellation()
  }

  private func pause(_ time: TimeAmount?, _ plan: SimulatedPlan, isStubborn: Bool = false) async {
    guard let time else { return }
    if isStubborn {
      await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
        _ = world.schedule(at: world.now + time, on: serverLoop, isForeign: false) {
          continuation.resume()
        }
      }
    } else {
      await world.sleep(time, on: serverLoop)
    }
    if !serverLoop.inEventLoop { failures.append("call \(plan.id): its handler left the loop") }
  }

  private func read(
    _ requests: RequestStream<Bytes>,
    _ plan: SimulatedPlan,
    _ body: (Int) async throws -> Void
  ) async throws {
    var count = 0
    var iterator = requests.makeAsyncIterator()
    while count < plan.handlerReads ?? .max, let request = try await iterator.next() {
      guard count < plan.requests.count else { return check(false, plan, "too many requests") }
      check(request == plan.message(count, isResponse: false), plan, "wrong request \(count)")
      count += 1
      await pause(plan.handlerPause, plan)
      try await body(count)
    }
    if plan.handlerReads == nil {
      check(count == plan.requests.count, plan, "\(count) of \(plan.requests.count) requests")
    }
  }

  // MARK: Callers

  /// Makes the call of a plan; throws how it failed.
  func call(_ plan: SimulatedPlan, on channel: RPCChannel) async throws {
    var options = CallOptions()
    options.timeout = plan.timeout
    options.readyTimeout = plan.readyTimeout
    options.metadata = plan.metadata
    options.compression = plan.isCompressed ? .gzip : .identity
    let response: UnaryResponse<Bytes>?
    switch plan.method.kind {
    case .unary:
      response = try await channel.unaryResponse(
        plan.method,
        plan.message(0, isResponse: false),
        options: options
      )
    case .serverStreaming:
      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        plan.method,
        plan.message(0, isResponse: false),
        options: options
      )
      return try await read(responses, plan)
    case .clientStreaming:
      let message: Bytes = try await channel.clientStreaming(plan.method, options: options) {
        (requests: RequestWriter<Bytes>) in
        try await self.write(requests, plan)
      }
      return check(message == plan.message(0, isResponse: true), plan, "wrong response")
    case .bidirectional:
      let call: BidirectionalCall<Bytes, Bytes> = try await channel.bidirectional(
        plan.method,
        options: options
      )
      return try await chat(call, plan)
    }
    guard let response else { return }
    check(response.message == plan.message(0, isResponse: true), plan, "wrong response")
    check(
      response.initialMetadata.firstBytes("x-bin")?.count ?? 0 == plan.metadataBytes,
      plan,
      "initial metadata is lost"
    )
  }

  private func chat(_ call: BidirectionalCall<Bytes, Bytes>, _ plan: SimulatedPlan) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        // How the call failed is told by the responses.
        try? await self.write(call.requests, plan)
        call.requests.finish()
      }
      try await self.read(call.responses, plan)
    }
  }

  private func write(_ requests: RequestWriter<Bytes>, _ plan: SimulatedPlan) async throws {
    for index in plan.requests.indices {
      try await requests.write(plan.message(index, isResponse: false))
      if let pause = plan.callerPause { await world.sleep(pause, on: userLoop) }
    }
  }

  private func read(_ responses: ResponseStream<Bytes>, _ plan: SimulatedPlan) async throws {
    var count = 0
    var iterator = responses.makeAsyncIterator()
    while count < plan.dropAfter ?? .max {
      guard let response = try await iterator.next() else {
        check(plan.status == .ok, plan, "ended well, but not planned so")
        check(count == plan.responses.count, plan, "\(count) of \(plan.responses.count) responses")
        return
      }
      guard count < plan.responses.count else { return check(false, plan, "too many responses") }
      check(response == plan.message(count, isResponse: true), plan, "wrong response \(count)")
      count += 1
      if let pause = plan.callerPause { await world.sleep(pause, on: userLoop) }
    }
    responses.cancel()
  }
}
