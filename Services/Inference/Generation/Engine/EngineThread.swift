#if canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Starts threads of our own: the engine blocks and computes, which no thread of the cooperative pool may.
enum EngineThread {
  /// Runs `body` on a new thread; throws `unavailable` when the system has none to give.
  static func start(_ body: @escaping @Sendable () -> Void) throws(GenerationError) {
    let box = Unmanaged.passRetained(Box(body: body))
    var thread = pthread_t()
    let status = pthread_create(
      &thread,
      nil,
      { argument in
        guard let argument else { return nil }
        let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
        box.body()
        return nil
      },
      box.toOpaque()
    )
    guard status == 0 else {
      box.release()
      throw GenerationError(
        .unavailable,
        "the engine's thread cannot be started: \(String(cString: strerror(status)))"
      )
    }
    pthread_detach(thread)
  }

  private final class Box: Sendable {
    let body: @Sendable () -> Void

    init(body: @escaping @Sendable () -> Void) { self.body = body }
  }
}
