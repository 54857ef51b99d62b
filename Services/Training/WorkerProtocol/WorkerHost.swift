import Files
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What a worker process owes the service that started it.
///
/// The service holds the other end of the worker's standard input and reads its standard output. When it dies, in
/// whatever way, the kernel closes both: the worker ends at once, so that a new service can start another one.
/// (`PR_SET_PDEATHSIG` promises less: it is bound to the thread that forked, which may end long before its process.)
package enum WorkerHost {
  /// The exit code of a worker whose service is gone.
  package static let orphanedExitCode: CInt = 70
  /// The exit code of a worker that the machine or another service failed: `EX_TEMPFAIL`.
  package static let unavailableExitCode: CInt = 75

  private static let output = Mutex<Void>(())
  private static let stop = Atomic<Bool>(false)
  /// The lock of the job's folder, which goes with the process.
  private static let held = Mutex<FileLock<WorkerProtocolError>?>(nil)
  /// Bytes of a specification.
  private static let specificationBytesMax = 1 << 20

  /// Whether the service has asked the worker to stop (SIGTERM).
  package static var isStopRequested: Bool { stop.load(ordering: .relaxed) }

  /// Reads the specification that the command line names.
  package static func specification(
    arguments: [String] = CommandLine.arguments
  ) throws(WorkerProtocolError) -> WorkerSpecification {
    guard arguments.count == 2, let path = arguments.last else {
      throw WorkerProtocolError(
        .usage,
        "a worker is started by the training service, with the file of its specification"
      )
    }
    let bytes = try FileOperations<WorkerProtocolError>.read(path, bytesMax: specificationBytesMax)
    return try WorkerJSON.decode(WorkerSpecification.self, from: bytes)
  }

  /// Makes SIGTERM a request, and the end of the service the worker's own end.
  package static func followService() throws(WorkerProtocolError) {
    // The first access initializes the flag, which a signal handler must not do.
    stop.store(false, ordering: .relaxed)
    signal(SIGTERM) { _ in WorkerHost.stop.store(true, ordering: .relaxed) }
    // Ctrl-C in the service's terminal is the service's to handle.
    signal(SIGINT, SIG_IGN)
    var thread = pthread_t()
    let result = pthread_create(
      &thread,
      nil,
      { _ in
        var byte: UInt8 = 0
        while true {
          let count = read(0, &byte, 1)
          if count == 0 || (count < 0 && errno != EINTR) { _exit(WorkerHost.orphanedExitCode) }
        }
      },
      nil
    )
    guard result == 0 else {
      throw WorkerProtocolError(.system, "start a thread: \(String(cString: strerror(result)))")
    }
    pthread_detach(thread)
  }

  /// Waits until no other worker works in the job's folder, and keeps others out until this process ends.
  ///
  /// Another one can only be that of a service that has just died, and about to end itself.
  package static func lock(_ specification: WorkerSpecification) throws(WorkerProtocolError) {
    let lock = try FileLock<WorkerProtocolError>.waitFor(specification.lockFile)
    held.withLock { $0 = lock }
  }

  /// Tells the service an event, from any thread; ends the process if the service is gone.
  package static func tell(_ event: WorkerEvent) throws(WorkerProtocolError) {
    let line = try WorkerJSON.encode(event) + [UInt8(ascii: "\n")]
    output.withLock { _ in
      var rest = line[...]
      while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
        if count > 0 {
          rest = rest.dropFirst(count)
        } else if errno != EINTR {
          _exit(orphanedExitCode)
        }
      }
    }
  }
}
