import NIOCore
import RPC
package import ServiceLifecycle

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A part of a service that listens on a port, such as an HTTP server.
///
/// `run` opens the port, serves until graceful shutdown, and returns when the last request has
/// ended.
package protocol Listener: Service {
  /// The name in the ports file and the log, such as `http`.
  var name: String { get }
  /// Completed by `run` with the real port once the listener is open.
  var port: OneShot<Int> { get }
}

extension Configuration {
  /// The error for a port that cannot be opened, in one line that names the option and the address.
  package func listenError(
    _ option: ServiceOption<Int>,
    host: String,
    cause: any Error
  ) -> ServiceKitError {
    var cause = cause
    if let rpc = cause as? RPCError, let inner = rpc.cause { cause = inner }
    let reason =
      (cause as? IOError).map { String(cString: strerror($0.errnoCode)) }
      ?? "\(cause)".escapedForOneLine()
    return ServiceKitError(
      .listenFailed,
      "option '\(option.name)' (\(source(of: option))): "
        + "cannot listen on \(host.escapedForOneLine()):\(self[option]): \(reason)"
    )
  }
}

/// The RPC server as a listener.
struct RPCListener: Listener {
  let name = "rpc"
  let port = OneShot<Int>()
  let server: RPCServer
  let configuration: Configuration

  func run() async throws {
    do {
      let address = try await server.start()
      port.succeed(address.port ?? 0)
    } catch {
      throw configuration.listenError(
        StandardOptions.rpcPort,
        host: configuration[StandardOptions.rpcHost],
        cause: error
      )
    }
    // Ends by graceful shutdown or by cancellation, which leaves no time for running calls.
    try? await gracefulShutdown()
    let grace = Task.isCancelled ? .zero : configuration[StandardOptions.shutdownGrace]
    await server.shutdown(grace: grace)
  }
}

/// Runs the listeners of a service side by side, so that all stop taking requests at once.
struct FrontEnd: Service {
  let listeners: [any Listener]

  func run() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for listener in listeners {
        group.addTask {
          do {
            try await listener.run()
          } catch {
            listener.port.fail(error)
            throw error
          }
          guard Task.isCancelled || Task.isShuttingDownGracefully else {
            throw ServiceKitError(.runFailed, "the \(listener.name) listener ended unexpectedly")
          }
        }
      }
      try await group.waitForAll()
    }
  }
}
