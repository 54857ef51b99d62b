/// How a call of a client ended, as its interceptors hear it.
public struct ClientCallEnd: Sendable {
  /// What the call failed with; nil when it succeeded.
  public let error: RPCError?
  /// The metadata that came before the first response; nil without it.
  public let initialMetadata: Metadata?
  /// The metadata that came with the status; nil without it.
  public let trailingMetadata: Metadata?
  /// Streams that were opened for the call: more than one when it was made again or hedged.
  public let attempts: Int
  /// The time from the call's begin.
  public let duration: Duration
  /// Where the last of those streams went; nil without one.
  public var peer: String? { endpoint?.description }

  let endpoint: Endpoint?
}

/// Sees every call of a channel: to log, measure or trace it, to give it credentials, or to refuse it.
///
/// The interceptors of a channel begin in their order and end in the reverse one: the first is the
/// outermost. They see a call once, however many attempts it takes.
public protocol ClientInterceptor: Sendable {
  /// Hears how the call ended, exactly once; it must not block.
  ///
  /// On the channel's loop, or, for a call that was refused before it began, on the task that makes it.
  typealias End = @Sendable (ClientCallEnd) -> Void

  /// A call is about to begin, on the task that makes it.
  ///
  /// May change what the call asks for. Returns what hears its end; an error refuses the call.
  func begin(_ method: MethodDescriptor, _ options: inout CallOptions) throws(RPCError) -> End?
}

/// Those of a call that hear its end.
struct ClientCallObserver {
  private(set) var ends: [ClientInterceptor.End] = []

  /// Lets every interceptor begin; what one refuses, those before it hear.
  init(
    _ interceptors: [any ClientInterceptor],
    _ method: MethodDescriptor,
    _ options: inout CallOptions
  ) throws(RPCError) {
    for interceptor in interceptors {
      do throws(RPCError) {
        if let end = try interceptor.begin(method, &options) { ends.append(end) }
      } catch {
        refused(error)
        throw error
      }
    }
  }

  /// The call does not begin.
  func refused(_ error: RPCError) {
    ended(
      ClientCallEnd(
        error: error,
        initialMetadata: nil,
        trailingMetadata: nil,
        attempts: 0,
        duration: .zero,
        endpoint: nil
      )
    )
  }

  /// The call is over.
  func ended(_ end: ClientCallEnd) {
    for hear in ends.reversed() { hear(end) }
  }
}
