import RPC
import Synchronization

/// The methods that the tests call.
enum EchoMethods {
  static let service = "test.Echo"
  static let unary = MethodDescriptor(service: service, method: "Unary", kind: .unary)
  static let expand = MethodDescriptor(service: service, method: "Expand", kind: .serverStreaming)
  static let collect = MethodDescriptor(
    service: service,
    method: "Collect",
    kind: .clientStreaming
  )
  static let chat = MethodDescriptor(service: service, method: "Chat", kind: .bidirectional)
}

/// A service made of closures, so that each test states what its server does.
struct EchoService: RPCService {
  static let serviceName = EchoMethods.service

  var unary: @Sendable (Bytes, ServerContext) async throws -> Bytes = { request, _ in request }
  var expand: @Sendable (Bytes, ServerContext, ResponseWriter<Bytes>) async throws -> Void = {
    request,
    _,
    responses in
    for byte in request.bytes { try await responses.write(Bytes([byte])) }
  }
  var collect: @Sendable (RequestStream<Bytes>, ServerContext) async throws -> Bytes = {
    requests,
    _ in
    var all: [UInt8] = []
    for try await request in requests { all += request.bytes }
    return Bytes(all)
  }
  var chat:
    @Sendable (RequestStream<Bytes>, ServerContext, ResponseWriter<Bytes>) async throws -> Void = {
      requests,
      _,
      responses in
      for try await request in requests { try await responses.write(request) }
    }

  func register(in router: inout Router) {
    router.unary(EchoMethods.unary, unary)
    router.serverStreaming(EchoMethods.expand, expand)
    router.clientStreaming(EchoMethods.collect, collect)
    router.bidirectional(EchoMethods.chat, chat)
  }
}

/// Something that happens once and that others wait for.
final class Signal: Sendable {
  private struct State {
    var isSet = false
    var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    var nextWaiter: UInt64 = 0
  }

  private let state = Mutex(State())

  func set() {
    let waiters = state.withLock { state in
      state.isSet = true
      defer { state.waiters = [:] }
      return state.waiters.values
    }
    for waiter in waiters { waiter.resume() }
  }

  var isSet: Bool { state.withLock { $0.isSet } }

  /// Waits until it is set, or the task is cancelled: a test above its time limit must end.
  func wait() async {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if state.isSet || Task.isCancelled { return true }
          state.waiters[id] = continuation
          return false
        }
        if isOver { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
    }
  }
}

/// Waits until the task is cancelled; sets `cancelled` then.
func waitForCancellation(_ cancelled: Signal) async {
  await withTaskCancellationHandler {
    await cancelled.wait()
  } onCancel: {
    cancelled.set()
  }
}

/// A number that tasks raise and wait for.
final class Counter: Sendable {
  private let state = Mutex<(value: Int, waiters: [(above: Int, signal: Signal)])>((0, []))

  var value: Int { state.withLock { $0.value } }

  /// Adds one; returns the number it reached.
  @discardableResult func increment() -> Int {
    let (value, reached) = state.withLock { state in
      state.value += 1
      defer { state.waiters.removeAll { $0.above < state.value } }
      return (state.value, state.waiters.filter { $0.above < state.value })
    }
    for waiter in reached { waiter.signal.set() }
    return value
  }

  /// Waits until the number is above `bound`; returns it.
  func wait(above bound: Int) async -> Int {
    let signal = Signal()
    let isAbove = state.withLock { state in
      if state.value <= bound { state.waiters.append((bound, signal)) }
      return state.value > bound
    }
    if !isAbove { await signal.wait() }
    return value
  }
}
