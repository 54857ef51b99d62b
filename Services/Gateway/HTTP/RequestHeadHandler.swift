import NIOCore
import NIOHTTP1

/// Settles, right behind the HTTP decoder, what of a request's head later handlers cannot see or
/// read in another way: whether the connection goes on.
///
/// `Connection` becomes `close` or goes: Hummingbird takes only that spelling, knows no HTTP/1.0,
/// and compares a hostile value in quadratic time. An upgrade is not offered, and the decoder reads
/// nothing after a request that asks for one, so such a connection ends as well.
///
/// Not thread-safe; lives on its channel's event loop.
final class RequestHeadHandler: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart

  /// Whether the last request's client knows interim answers (HTTP/1.1).
  private(set) var knowsInterimAnswers = false

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard case .head(var head) = unwrapInboundIn(data) else {
      context.fireChannelRead(data)
      return
    }
    knowsInterimAnswers = head.version == .http1_1
    let goesOn =
      head.isKeepAlive && head.method != .CONNECT && !head.headers.contains(name: "upgrade")
    head.headers.remove(name: "connection")
    if !goesOn { head.headers.add(name: "connection", value: "close") }
    context.fireChannelRead(wrapInboundOut(.head(head)))
  }
}
