import NIOCore
import RPC
import Synchronization
import Testing

/// Statuses, metadata, limits, deadlines and cancellation between our client and our server.
@Suite(.timeLimit(.minutes(5))) struct EdgeCaseTests {
  // MARK: Status

  @Test(arguments: StatusCode.allCases.dropFirst())
  func `a handler's error arrives with code, message and metadata`(code: StatusCode) async throws {
    var service = EchoService()
    service.unary = { _, _ in
      var metadata = Metadata()
      metadata.add("why", for: "reason")
      metadata.add([1, 2], for: "detail-bin")
      throw RPCError(code, "größer 100% \n\u{1F600}", metadata: metadata)
    }
    try await withLoopback(service) { channel, _ in
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      }
      #expect(error.code == code)
      #expect(error.message == "größer 100% \n\u{1F600}")
      #expect(error.metadata.first("reason") == "why")
      #expect(error.metadata.firstBytes("detail-bin") == [1, 2])
    }
  }

  @Test func `an error of another kind is UNKNOWN and its text stays here`() async throws {
    struct Secret: Error {}
    var service = EchoService()
    service.unary = { _, _ in throw Secret() }
    try await withLoopback(service) { channel, _ in
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      }
      #expect(error.code == .unknown)
      #expect(error.message == "the handler failed")
    }
  }

  @Test func `messages before an error are delivered before it`() async throws {
    var service = EchoService()
    service.expand = { _, _, responses in
      try await responses.write("1")
      try await responses.write("2")
      throw RPCError(.dataLoss, "the rest is lost")
    }
    try await withLoopback(service) { channel, _ in
      let responses: ResponseStream<Bytes> = try await channel.serverStreaming(
        EchoMethods.expand,
        Bytes("")
      )
      var seen: [String] = []
      let error = try await failure {
        for try await response in responses { seen.append(response.text) }
      }
      #expect(seen == ["1", "2"])
      #expect(error.code == .dataLoss)
    }
  }

  @Test func `a malformed request is INVALID_ARGUMENT, a malformed response INTERNAL`() async throws
  {
    var service = EchoService()
    service.unary = { _, _ in Bytes([0xff]) }
    try await withLoopback(service) { channel, _ in
      let request = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes([0xff])) as Bytes
      }
      #expect(request.code == .invalidArgument)
      let response = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x")) as Bytes
      }
      #expect(response.code == .internal)
    }
  }

  @Test(arguments: [
    MethodDescriptor(service: "test.Echo", method: "Absent", kind: .unary),
    MethodDescriptor(service: "test.Absent", method: "Unary", kind: .unary),
    MethodDescriptor(service: "a/b", method: "c", kind: .unary),
  ])
  func `what is not registered is UNIMPLEMENTED`(method: MethodDescriptor) async throws {
    try await withLoopback { channel, _ in
      let error = try await failure { try await channel.unary(method, Bytes("x")) as Bytes }
      #expect(error.code == .unimplemented)
    }
  }

  // MARK: Metadata

  @Test func `metadata crosses in both directions`() async throws {
    var service = EchoService()
    service.unary = { request, context in
      context.setInitialMetadata(context.metadata)
      var trailing = Metadata()
      trailing.add([0, 1, 2], for: "end-bin")
      context.setTrailingMetadata(trailing)
      return request
    }
    try await withLoopback(service) { channel, _ in
      var options = CallOptions()
      options.metadata.add("1", for: "key")
      options.metadata.add([255, 0], for: "blob-bin")
      options.metadata.add("2", for: "key")
      let response: UnaryResponse<Bytes> = try await channel.unaryResponse(
        EchoMethods.unary,
        Bytes("x"),
        options: options
      )
      #expect(response.initialMetadata.all("key") == ["1", "2"])
      #expect(response.initialMetadata.allBytes("blob-bin") == [[255, 0]])
      #expect(response.trailingMetadata.allBytes("end-bin") == [[0, 1, 2]])
    }
  }

  @Test func `metadata above the limit is an error on the side that sends it`() async throws {
    var service = EchoService()
    service.unary = { request, context in
      var metadata = Metadata()
      metadata.add(String(repeating: "x", count: 70_000), for: "large")
      if request == "initial" { context.setInitialMetadata(metadata) }
      if request == "trailing" { context.setTrailingMetadata(metadata) }
      return request
    }
    try await withLoopback(service) { channel, _ in
      for request in ["initial", "trailing"] {
        let error = try await failure {
          try await channel.unary(EchoMethods.unary, Bytes(request)) as Bytes
        }
        #expect(error.code == .resourceExhausted)
      }
      var options = CallOptions()
      options.metadata.add(String(repeating: "x", count: 70_000), for: "large")
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("x"), options: options) as Bytes
      }
      #expect(error.code == .resourceExhausted)
      let response: Bytes = try await channel.unary(EchoMethods.unary, Bytes("still here"))
      #expect(response == "still here")
    }
  }

  @Test func `metadata just below the limit crosses`() async throws {
    try await withLoopback { channel, _ in
      var options = CallOptions()
      options.metadata.add(String(repeating: "x", count: 64_000), for: "large")
      let response: Bytes = try await channel.unary(
        EchoMethods.unary,
        Bytes("x"),
        options: options
      )
      #expect(response == "x")
    }
  }

  // MARK: Sizes

  @Test func `messages of several megabytes cross every kind of call`() async throws {
    let large = Bytes([UInt8](repeating: 42, count: 3 * 1024 * 1024))
    try await withLoopback { channel, _ in
      let unary: Bytes = try await channel.unary(EchoMethods.unary, large)
      #expect(unary == large)
      let call: BidirectionalCall<Bytes, Bytes> = try await channel.bidirectional(EchoMethods.chat)
      var responses = call.responses.makeAsyncIterator()
      for _ in 0..<3 {
        try await call.requests.write(large)
        #expect(try await responses.next() == large)
      }
      call.requests.finish()
      #expect(try await responses.next() == nil)
    }
  }

  @Test func `a request above 4 MiB is RESOURCE_EXHAUSTED`() async throws {
    try await withLoopback { channel, _ in
      let limit = 4 * 1024 * 1024
      var configuration = ChannelConfiguration()
      configuration.maxMessageBytes = 8 * 1024 * 1024
      let error = try await failure {
        try await channel.unary(
          EchoMethods.unary,
          Bytes([UInt8](repeating: 1, count: limit + 1))
        ) as Bytes
      }
      #expect(error.code == .resourceExhausted)
      let response: Bytes = try await channel.unary(
        EchoMethods.unary,
        Bytes([UInt8](repeating: 1, count: limit))
      )
      #expect(response.bytes.count == limit)
    }
  }

  @Test func `a response above the client's limit is RESOURCE_EXHAUSTED`() async throws {
    var configuration = ChannelConfiguration()
    configuration.maxMessageBytes = 1000
    var service = EchoService()
    service.unary = { _, _ in Bytes([UInt8](repeating: 1, count: 1001)) }
    try await withLoopback(service, channel: configuration) { channel, _ in
      let error = try await failure {
        try await channel.unary(EchoMethods.unary, Bytes("")) as Bytes
      }
      #expect(error.code == .resourceExhausted)
    }
  }

  // MARK: Early ends

  @Test func `a handler may answer before the client has sent everything`() async throws {
    var service = EchoService()
    service.collect = { requests, _ in
      for try await request in requests { return request }
      return "none"
    }
    try await withLoopback(service) { channel, _ in
      let response: Bytes = try await channel.clientStreaming(EchoMethods.collect) {
        (requests: RequestWriter<Bytes>) in
        try await requests.write("first")
        while true { try await requests.write("more") }
      }
      #expect(response == "first")
    }
  }

  @Test func `the server's error counts for more than the write it breaks`() async throws {
    var service = EchoService()
    service.collect = { _, _ in throw RPCError(.permissionDenied, "not for you") }
    try await withLoopback(service) { channel, _ in
      let error = try await failure {
        try await channel.clientStreaming(EchoMethods.collect) {
          (requests: RequestWriter<Bytes>) in
          while true { try await requests.write("more") }
        } as Bytes
      }
      #expect(error.code == .permissionDenied)
    }
  }

  @Test func `a producer that fails ends the call`() async throws {
    struct Broken: Error {}
    let (started, ended) = (Signal(), Signal())
    var service = EchoService()
    service.collect = { requests, _ in
      started.set()
      defer { ended.set() }
      for try await _ in requests {}
      return "unreached"
    }
    try await withLoopback(service) { channel, _ in
      let error = try await failure {
        try await channel.clientStreaming(EchoMethods.collect) {
          (requests: RequestWriter<Bytes>) in
          try await requests.write("first")
          await started.wait()
          throw Broken()
        } as Bytes
      }
      #expect(error.code == .cancelled)
      #expect(error.cause is Broken)
      await ended.wait()
    }
  }
}
