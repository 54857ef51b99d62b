import NIOCore
import NIOHTTP1

/// Bounds what one connection may cost, in bytes and in time.
///
/// It is the first in the pipeline and, like all handlers, confined to its event loop.
final class AdminGate: ChannelDuplexHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private enum State {
    /// Waits for the end of a request.
    case receiving
    /// Waits until the client has taken a response.
    case responding
    /// Waits for the next request.
    case idle
  }

  private let limits: AdminServer.Limits
  private var state = State.idle
  private var timer: Scheduled<Void>?
  /// Bytes since the last read in which a request ended.
  private var bytes = 0
  private var requestEnded = false

  init(limits: AdminServer.Limits) {
    self.limits = limits
  }

  func channelActive(context: ChannelHandlerContext) {
    enter(.receiving, context: context)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    timer = nil
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    if state == .idle { enter(.receiving, context: context) }
    bytes += buffer.readableBytes
    requestEnded = false
    context.fireChannelRead(wrapInboundOut(buffer))
    // Requests may end in the middle of a read; what follows is less than one read and not counted.
    if requestEnded { bytes = 0 }
    guard bytes > limits.requestBytesMax else { return }
    refuse(context: context)
  }

  /// Called by the handler of requests when one has arrived whole.
  func didReceiveRequest(context: ChannelHandlerContext) {
    requestEnded = true
    enter(.responding, context: context)
  }

  /// Called when the system has taken the last byte of a response.
  func didSendResponse(context: ChannelHandlerContext) {
    guard state == .responding else { return }
    enter(.idle, context: context)
  }

  private func enter(_ state: State, context: ChannelHandlerContext) {
    self.state = state
    timer?.cancel()
    let timeout =
      switch state {
      case .receiving: limits.requestTimeout
      case .responding: limits.responseTimeout
      case .idle: limits.idleTimeout
      }
    let channel = context.channel
    timer = context.eventLoop.scheduleTask(in: TimeAmount(timeout)) {
      channel.close(promise: nil)
    }
  }

  private func refuse(context: ChannelHandlerContext) {
    // The parser may have answered and closed already.
    guard context.channel.isActive else { return }
    let response = """
      HTTP/1.1 431 Request Header Fields Too Large\r
      content-length: 0\r
      connection: close\r
      \r\n
      """
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: response)), promise: nil)
    context.close(promise: nil)
  }
}

/// Answers requests, one at a time and only while the client takes the answers, so that a client
/// that sends many requests and reads nothing costs one response.
final class AdminHandler: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  private let responder: AdminResponder
  private let gate: AdminGate
  private var head: HTTPRequestHead?
  /// A request that has arrived whole and waits until the channel is writable.
  private var waiting: HTTPRequestHead?

  init(responder: AdminResponder, gate: AdminGate) {
    self.responder = responder
    self.gate = gate
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): self.head = head
    case .body: break
    case .end:
      guard let head else { return }
      self.head = nil
      gate.didReceiveRequest(context: context)
      if context.channel.isWritable {
        respond(to: head, context: context)
      } else {
        waiting = head
      }
    }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable, let head = waiting {
      waiting = nil
      respond(to: head, context: context)
    }
    context.fireChannelWritabilityChanged()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }

  private func respond(to head: HTTPRequestHead, context: ChannelHandlerContext) {
    let response = responder.response(method: head.method.rawValue, target: head.uri)
    let body = ByteBuffer(string: response.body)
    var headers: HTTPHeaders = [
      "content-type": response.contentType,
      "content-length": String(body.readableBytes),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    ]
    if let allow = response.allow { headers.add(name: "allow", value: allow) }
    if !head.isKeepAlive {
      headers.add(name: "connection", value: "close")
    } else if head.version == .http1_0 {
      headers.add(name: "connection", value: "keep-alive")
    }
    let answer = HTTPResponseHead(
      version: head.version,
      status: HTTPResponseStatus(statusCode: response.status),
      headers: headers
    )
    context.write(wrapOutboundOut(.head(answer)), promise: nil)
    if head.method != .HEAD {
      context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
    }
    let gate = gate
    let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
    let isKeepAlive = head.isKeepAlive
    context.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenComplete { result in
      let context = bound.value
      if case .success = result, isKeepAlive {
        gate.didSendResponse(context: context)
      } else {
        context.close(promise: nil)
      }
    }
  }
}
