import NIOCore
import NIOPosix

/// The question whether the service that runs with this configuration is ready: what `--healthcheck`
/// asks, so that a container needs no other program for its health check.
struct ReadinessQuery: Sendable {
  /// The longest time to connect and to be answered.
  static let timeout = TimeAmount.seconds(3)
  /// Most bytes of an answer.
  static let answerBytesMax = 64 << 10

  /// Where the admin endpoint listens.
  let address: ServiceAddress

  /// The query for the admin endpoint of a configuration.
  ///
  /// Throws `invalidConfiguration` if the port is left to the system: nobody can know it.
  init(_ configuration: Configuration) throws(ServiceKitError) {
    let port = configuration[StandardOptions.adminPort]
    guard port > 0 else {
      throw configuration.error(StandardOptions.adminPort, "is needed by --healthcheck")
    }
    let host = configuration[StandardOptions.adminHost]
    // What listens on every address is asked on the loopback interface.
    address = ServiceAddress(
      host: ["0.0.0.0": "127.0.0.1", "::": "::1"][host] ?? host,
      port: port
    )
  }

  /// Asks; returns what the endpoint says of each check.
  ///
  /// Throws `notReady` if a check failed, and if nothing answers in time.
  func ask(on group: any EventLoopGroup) async throws(ServiceKitError) -> String {
    let answer: String
    let promise = group.any().makePromise(of: String.self)
    do {
      let channel = try await ClientBootstrap(group: group)
        .connectTimeout(Self.timeout)
        .channelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(AnswerCollector(promise))
          }
        }
        .connect(host: address.host, port: address.port).get()
      channel.eventLoop.scheduleTask(in: Self.timeout) { channel.close(promise: nil) }
      let request = "GET /readyz HTTP/1.1\r\nhost: \(address)\r\nconnection: close\r\n\r\n"
      // A failure shows itself as an end without an answer.
      channel.writeAndFlush(ByteBuffer(string: request), promise: nil)
      answer = try await promise.futureResult.get()
    } catch {
      promise.fail(error)
      throw ServiceKitError(.notReady, "cannot ask http://\(address)/readyz", cause: error)
    }
    let body = answer.firstRange(of: "\r\n\r\n").map { answer[$0.upperBound...] } ?? ""
    guard answer.hasPrefix("HTTP/1.1 200 ") else {
      let failed = body.split(separator: "\n").filter { $0.hasPrefix("[-]") }
      let text = failed.isEmpty ? "no answer in time" : failed.joined(separator: "; ")
      throw ServiceKitError(.notReady, "http://\(address)/readyz: \(text)")
    }
    return String(body)
  }
}

/// Keeps what arrives until the connection ends.
private final class AnswerCollector: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let promise: EventLoopPromise<String>
  private var text = ByteBuffer()

  init(_ promise: EventLoopPromise<String>) { self.promise = promise }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    var part = unwrapInboundIn(data)
    text.writeBuffer(&part)
    if text.readableBytes > ReadinessQuery.answerBytesMax { context.close(promise: nil) }
  }

  func channelInactive(context: ChannelHandlerContext) {
    promise.succeed(String(buffer: text))
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }
}
