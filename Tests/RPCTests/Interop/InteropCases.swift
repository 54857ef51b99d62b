import Testing

@testable import RPC

/// gRPC's interop cases without credentials, by our client (interop-test-descriptions.md).
struct InteropCases {
  typealias Case = (name: String, run: @Sendable (InteropCases) async throws -> Void)

  let channel: RPCChannel
  let port: Int

  static let requestSizes = [27182, 8, 1828, 45904]
  static let responseSizes = [31415, 9, 2653, 58979]
  static let special =
    "\t\ntest with whitespace\r\nand Unicode BMP \u{263a} and non-BMP \u{1f608}\t\n"

  static let all: [Case] = [
    ("empty_unary", { try await $0.emptyUnary() }),
    ("cacheable_unary", { try await $0.cacheableUnary() }),
    ("large_unary", { try await $0.largeUnary() }),
    ("server_compressed_unary", { try await $0.serverCompressedUnary() }),
    ("client_streaming", { try await $0.clientStreaming() }),
    ("server_streaming", { try await $0.serverStreaming() }),
    ("server_compressed_streaming", { try await $0.serverCompressedStreaming() }),
    ("ping_pong", { try await $0.pingPong() }),
    ("empty_stream", { try await $0.emptyStream() }),
    ("custom_metadata", { try await $0.customMetadata() }),
    ("status_code_and_message", { try await $0.status("test status message") }),
    ("special_status_message", { try await $0.status(special) }),
    ("unimplemented_method", { try await $0.unimplemented(TestMethods.unimplementedCall) }),
    ("unimplemented_service", { try await $0.unimplemented(TestMethods.unimplementedService) }),
    ("cancel_after_begin", { try await $0.cancelAfterBegin() }),
    ("cancel_after_first_response", { try await $0.cancelAfterFirstResponse() }),
    ("timeout_on_sleeping_server", { try await $0.timeoutOnSleepingServer() }),
    ("concurrent_large_unary", { try await $0.concurrentLargeUnary() }),
    ("rpc_soak", { for _ in 0..<100 { try await $0.largeUnary() } }),
    ("channel_soak", { try await $0.channelSoak() }),
  ]

  /// The cases that need a server which sees whether a request was compressed.
  static let compressed: [Case] = [
    ("client_compressed_unary", { try await $0.clientCompressedUnary() }),
    ("server_compressed_unary", { try await $0.serverCompressedUnary() }),
    ("client_compressed_streaming", { try await $0.clientCompressedStreaming() }),
    ("server_compressed_streaming", { try await $0.serverCompressedStreaming() }),
  ]

  private typealias Duplex = BidirectionalCall<StreamingOutputRequest, StreamingOutputResponse>

  static var large: SimpleRequest {
    SimpleRequest(responseSize: 314159, payload: Payload(size: 271828))
  }

  private func output(_ sizes: [Int], request: Int? = nil) -> StreamingOutputRequest {
    StreamingOutputRequest(
      parameters: sizes.map { ResponseParameters(size: $0) },
      payload: request.map(Payload.init(size:))
    )
  }

  func unary(
    _ request: SimpleRequest,
    options: CallOptions = CallOptions()
  ) async throws(RPCError) -> SimpleResponse {
    try await channel.unary(TestMethods.unaryCall, request, options: options)
  }

  func emptyUnary() async throws {
    let response: EmptyMessage = try await channel.unary(TestMethods.emptyCall, EmptyMessage())
    try equal(response, EmptyMessage())
  }

  /// The answer is not cached: no cache lies between the two.
  func cacheableUnary() async throws {
    var options = CallOptions()
    options.metadata.add("1.2.3.4", for: "x-user-ip")
    let response: UnaryResponse<SimpleResponse> = try await channel.unaryResponse(
      TestMethods.cacheableUnaryCall,
      SimpleRequest(payload: Payload(size: 16)),
      options: options
    )
    try equal(response.initialMetadata.first("cache-control"), "max-age=60, public")
  }

  func largeUnary() async throws {
    try equal(try await unary(Self.large).payload, Payload(size: 314159))
  }

  func clientCompressedUnary() async throws {
    var request = Self.large
    request.expectCompressed = BoolValue(value: true)
    let probe = request
    let error = try await failure { try await unary(probe) }
    try equal(error.code, .invalidArgument, "probe:")
    let answer = try await unary(request, options: CallOptions(compression: .gzip))
    try equal(answer.payload, Payload(size: 314159))
    request.expectCompressed = BoolValue(value: false)
    try equal(try await unary(request).payload, Payload(size: 314159))
  }

  func serverCompressedUnary() async throws {
    for isCompressed in [true, false] {
      var request = Self.large
      request.responseCompressed = BoolValue(value: isCompressed)
      let responses: ResponseStream<SimpleResponse> = try await channel.serverStreaming(
        TestMethods.unaryCallAsStream,
        request
      )
      var iterator = responses.makeAsyncIterator()
      try equal(try await iterator.next()?.payload, Payload(size: 314159))
      try equal(responses.lastWasCompressed, isCompressed, "compressed:")
      try equal(try await iterator.next(), nil)
    }
  }

  func clientStreaming() async throws {
    let response: StreamingInputResponse = try await channel.clientStreaming(
      TestMethods.streamingInputCall
    ) { (requests: RequestWriter<StreamingInputRequest>) in
      for size in Self.requestSizes {
        try await requests.write(StreamingInputRequest(payload: Payload(size: size)))
      }
    }
    try equal(response.aggregatedPayloadSize, 74922)
  }

  func clientCompressedStreaming() async throws {
    func request(_ size: Int, _ isCompressed: Bool) -> StreamingInputRequest {
      StreamingInputRequest(
        payload: Payload(size: size),
        expectCompressed: BoolValue(value: isCompressed)
      )
    }
    let options = CallOptions(compression: .gzip)
    let error = try await failure {
      try await channel.clientStreaming(TestMethods.streamingInputCall, options: options) {
        (requests: RequestWriter<StreamingInputRequest>) in
        try await requests.write(request(27182, true), compressed: false)
      } as StreamingInputResponse
    }
    try equal(error.code, .invalidArgument, "probe:")
    let response: StreamingInputResponse = try await channel.clientStreaming(
      TestMethods.streamingInputCall,
      options: options
    ) { (requests: RequestWriter<StreamingInputRequest>) in
      try await requests.write(request(27182, true))
      try await requests.write(request(45904, false), compressed: false)
    }
    try equal(response.aggregatedPayloadSize, 73086)
  }

  func serverStreaming() async throws {
    let responses: ResponseStream<StreamingOutputResponse> = try await channel.serverStreaming(
      TestMethods.streamingOutputCall,
      output(Self.responseSizes)
    )
    let sizes = try await responses.reduce(into: []) { $0.append($1.payload?.body.count ?? 0) }
    try equal(sizes, Self.responseSizes)
  }

  func serverCompressedStreaming() async throws {
    let request = StreamingOutputRequest(parameters: [
      ResponseParameters(size: 31415, compressed: BoolValue(value: true)),
      ResponseParameters(size: 92653, compressed: BoolValue(value: false)),
    ])
    let responses: ResponseStream<StreamingOutputResponse> = try await channel.serverStreaming(
      TestMethods.streamingOutputCall,
      request
    )
    var seen: [Bool] = []
    for try await response in responses {
      try equal(response.payload, Payload(size: seen.isEmpty ? 31415 : 92653))
      seen.append(responses.lastWasCompressed)
    }
    try equal(seen, [true, false], "compressed:")
  }

  func pingPong() async throws {
    let call: Duplex = try await channel.bidirectional(TestMethods.fullDuplexCall)
    var responses = call.responses.makeAsyncIterator()
    for (request, response) in zip(Self.requestSizes, Self.responseSizes) {
      try await call.requests.write(output([response], request: request))
      try equal(try await responses.next()?.payload, Payload(size: response))
    }
    call.requests.finish()
    try equal(try await responses.next(), nil)
  }

  func emptyStream() async throws {
    let call: Duplex = try await channel.bidirectional(TestMethods.fullDuplexCall)
    call.requests.finish()
    var responses = call.responses.makeAsyncIterator()
    try equal(try await responses.next(), nil)
  }

  func customMetadata() async throws {
    var options = CallOptions()
    options.metadata.add("test_initial_metadata_value", for: TestService.initialName)
    options.metadata.add([0xab, 0xab, 0xab], for: TestService.trailingName)
    func check(_ initial: Metadata?, _ trailing: Metadata?) throws {
      try equal(initial?.first(TestService.initialName), "test_initial_metadata_value")
      try equal(trailing?.firstBytes(TestService.trailingName), [0xab, 0xab, 0xab])
    }
    let response: UnaryResponse<SimpleResponse> = try await channel.unaryResponse(
      TestMethods.unaryCall,
      Self.large,
      options: options
    )
    try check(response.initialMetadata, response.trailingMetadata)
    let call: Duplex = try await channel.bidirectional(
      TestMethods.fullDuplexCall,
      options: options
    )
    try await call.requests.write(output([314159], request: 271828))
    call.requests.finish()
    for try await _ in call.responses {}
    try check(call.responses.initialMetadata, call.responses.trailingMetadata)
  }

  func status(_ message: String) async throws {
    let status = EchoStatus(code: 2, message: message)
    let error = try await failure { try await unary(SimpleRequest(responseStatus: status)) }
    try equal(error.code, .unknown)
    try equal(error.message, message)
    let call: Duplex = try await channel.bidirectional(TestMethods.fullDuplexCall)
    try await call.requests.write(StreamingOutputRequest(responseStatus: status))
    call.requests.finish()
    let other = try await failure { for try await _ in call.responses {} }
    try equal(other.code, .unknown)
    try equal(other.message, message)
  }

  func unimplemented(_ method: MethodDescriptor) async throws {
    let error = try await failure {
      try await channel.unary(method, EmptyMessage()) as EmptyMessage
    }
    try equal(error.code, .unimplemented)
  }

  func cancelAfterBegin() async throws {
    let channel = channel
    let begun = Signal()
    let task = Task {
      try await channel.clientStreaming(TestMethods.streamingInputCall) {
        (_: RequestWriter<StreamingInputRequest>) in
        begun.set()
        await waitForCancellation(Signal())
        throw CancellationError()
      } as StreamingInputResponse
    }
    await begun.wait()
    task.cancel()
    let error = try await failure { try await task.value }
    try equal(error.code, .cancelled)
  }

  func cancelAfterFirstResponse() async throws {
    let call: Duplex = try await channel.bidirectional(TestMethods.fullDuplexCall)
    try await call.requests.write(output([31415], request: 27182))
    var responses = call.responses.makeAsyncIterator()
    try equal(try await responses.next()?.payload, Payload(size: 31415))
    call.responses.cancel()
    do {
      let next = try await responses.next()
      throw ConformanceTable.Failure(description: "after cancel: \(String(describing: next))")
    } catch let error as RPCError {
      try equal(error.code, .cancelled)
    }
  }

  func timeoutOnSleepingServer() async throws {
    // Also once the call has surely reached the server.
    for timeout in [Duration.milliseconds(1), .milliseconds(300)] {
      let call: Duplex = try await channel.bidirectional(
        TestMethods.fullDuplexCall,
        options: CallOptions(timeout: timeout)
      )
      var request = output([31415], request: 27182)
      request.parameters[0].intervalMicroseconds = 5_000_000
      do {
        try await call.requests.write(request)
        for try await _ in call.responses {}
        throw ConformanceTable.Failure(description: "the call succeeded")
      } catch let error as RPCError {
        try equal(error.code, .deadlineExceeded)
      }
    }
  }

  func concurrentLargeUnary() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<100 { group.addTask { try await largeUnary() } }
      try await group.waitForAll()
    }
  }

  func channelSoak() async throws {
    for _ in 0..<30 {
      let own = RPCChannel(host: "127.0.0.1", port: port, group: testGroup)
      let response: SimpleResponse = try await own.unary(TestMethods.unaryCall, Self.large)
      try equal(response.payload, Payload(size: 314159))
      await own.close()
    }
  }
}
