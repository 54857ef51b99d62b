import Subprocess
import SystemPackage

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// One run of one service as a child process.
///
/// The child's standard input is a pipe whose other end the supervisor holds: a supervised service ends when it
/// closes, so that none outlives a supervisor that was killed.
struct ServiceProcess: Sendable {
  /// A log larger than this is set aside when its service starts.
  static let logBytesMax: Int64 = 64 << 20
  /// How much longer than its grace a service may take to end before it is killed.
  static let stopMargin: Duration = .seconds(5)

  let executable: FilePath
  let arguments: [String]
  let log: FilePath
  /// How long its running requests may take to end.
  let grace: Duration

  /// Runs until the process ends.
  ///
  /// Cancelling the task asks it to stop, and kills it after `grace` and `stopMargin`. `onStart` is told the
  /// process's id. Throws if it cannot be started.
  func run(onStart: @Sendable (Int32) async -> Void = { _ in }) async throws -> TerminationStatus {
    var options = PlatformOptions()
    // Its own process group: Ctrl-C reaches the supervisor alone, which stops the services in order.
    options.processGroupID = 0
    options.teardownSequence = [
      .gracefulShutDown(allowedDurationToNextStep: grace + Self.stopMargin)
    ]
    let pipe = try Self.pipe()
    defer { try? pipe.writeEnd.close() }
    return try await Subprocess.run(
      .path(executable),
      arguments: Arguments(arguments),
      platformOptions: options,
      input: .fileDescriptor(pipe.readEnd, closeAfterSpawningProcess: true),
      output: .fileDescriptor(try openLog(), closeAfterSpawningProcess: true),
      error: .combinedWithOutput
    ) { execution in
      await onStart(execution.processIdentifier.value)
    }.terminationStatus
  }

  private func openLog() throws -> FileDescriptor {
    let file = try open()
    guard try file.seek(offset: 0, from: .end) > Self.logBytesMax else { return file }
    try file.close()
    guard rename(log.string, log.string + ".1") == 0 else { throw Errno(rawValue: errno) }
    return try open()
  }

  private func open() throws -> FileDescriptor {
    try FileDescriptor.open(
      log,
      .writeOnly,
      options: [.create, .append, .closeOnExec],
      permissions: .ownerReadWrite
    )
  }

  /// A pipe that no other child inherits: a socket pair, which can be made close-on-exec in one step.
  private static func pipe() throws -> (readEnd: FileDescriptor, writeEnd: FileDescriptor) {
    var ends: [CInt] = [-1, -1]
    let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw Errno(rawValue: errno) }
    return (FileDescriptor(rawValue: ends[0]), FileDescriptor(rawValue: ends[1]))
  }
}
