import Foundation
public import Logging
import NIOCore
import NIOPosix
public import NIOSSL
import Synchronization

/// The TLS context of files that may change: a new one for new connections as soon as the files
/// are whole, while connections that exist go on with theirs.
///
/// The files are read and their digests compared every `interval`, on a thread for blocking work;
/// they are small, and what is written twice within one tick of a file system's clock would
/// escape their modification times. Files that cannot be used, such as half of a new pair, leave
/// the old context in its place and are logged once. Ends with its last reference.
public final class TLSReloader: Sendable {
  private struct State {
    var context: NIOSSLContext
    var digest: Int
    /// What was said last of files that cannot be used.
    var failure: String?
    var timer: RepeatedTask?
    var isReading = false
  }

  /// The files that are watched.
  public let files: TLSFiles
  private let isServer: Bool
  private let logger: Logger
  private let state: Mutex<State>

  /// Reads a server's files, and watches them every `interval`; nil: on `reload` alone.
  ///
  /// Blocks while it reads. Throws what `reload` throws.
  public convenience init(
    server files: TLSFiles,
    interval: Duration? = .seconds(30),
    logger: Logger = Logger(label: "llmos.rpc.tls")
  ) throws(RPCError) {
    try self.init(files, isServer: true, logger: logger)
    if let interval { watch(every: interval, on: MultiThreadedEventLoopGroup.singleton.next()) }
  }

  /// Reads a client's files, and watches them every `interval`; nil: on `reload` alone.
  ///
  /// Blocks while it reads. Throws what `reload` throws.
  public convenience init(
    client files: TLSFiles,
    interval: Duration? = .seconds(30),
    logger: Logger = Logger(label: "llmos.rpc.tls")
  ) throws(RPCError) {
    try self.init(files, isServer: false, logger: logger)
    if let interval { watch(every: interval, on: MultiThreadedEventLoopGroup.singleton.next()) }
  }

  init(_ files: TLSFiles, isServer: Bool, logger: Logger) throws(RPCError) {
    let contents = try Self.read(files)
    self.files = files
    self.isServer = isServer
    self.logger = logger
    state = Mutex(
      State(
        context: try files.context(isServer: isServer, contents),
        digest: contents.hashValue
      )
    )
  }

  deinit {
    state.withLock { $0.timer?.cancel() }
  }

  /// The context for the next connection.
  public var context: NIOSSLContext { state.withLock { $0.context } }

  /// Looks at the files now; returns whether there is a new context.
  ///
  /// Blocks while it reads. Throws INVALID_ARGUMENT for files that cannot be used, UNAVAILABLE for
  /// files that cannot be read; the old context stays then.
  @discardableResult
  public func reload() throws(RPCError) -> Bool {
    let contents = try Self.read(files)
    let digest = contents.hashValue
    guard state.withLock({ $0.digest != digest }) else { return false }
    let context = try files.context(isServer: isServer, contents)
    state.withLock { state in
      state.context = context
      state.digest = digest
    }
    return true
  }

  /// Looks at the files every `interval` of the loop's time, on another thread.
  func watch(every interval: Duration, on eventLoop: any EventLoop) {
    let interval = TimeAmount(interval)
    let task = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) {
      [weak self] task in
      guard let self else { return task.cancel() }
      let isFree = state.withLock { state in
        defer { state.isReading = true }
        return !state.isReading
      }
      guard isFree else { return }
      NIOThreadPool.singleton.submit { [weak self] _ in self?.look() }
    }
    state.withLock { state in
      state.timer?.cancel()
      state.timer = task
    }
  }

  /// Looks at the files and logs what is new.
  func look() {
    defer { state.withLock { $0.isReading = false } }
    do throws(RPCError) {
      let isNew = try reload()
      let wasBad = state.withLock { state in
        defer { state.failure = nil }
        return state.failure != nil
      }
      guard isNew || wasBad else { return }
      logger.info(
        isNew ? "TLS certificates reloaded" : "TLS certificates are as they were",
        metadata: ["files": "\(files.paths.joined(separator: ", "))"]
      )
    } catch {
      let isKnown = state.withLock { state in
        defer { state.failure = error.message }
        return state.failure == error.message
      }
      guard !isKnown else { return }
      logger.warning(
        "TLS certificates cannot be reloaded, the old ones stay",
        metadata: ["reason": "\(error.message)"]
      )
    }
  }

  private static func read(_ files: TLSFiles) throws(RPCError) -> [String: [UInt8]] {
    var contents: [String: [UInt8]] = [:]
    for path in files.paths {
      guard let file = FileHandle(forReadingAtPath: path) else {
        throw RPCError(.unavailable, "TLS: cannot open \(path)")
      }
      defer { try? file.close() }
      let data: Data?
      do {
        data = try file.read(upToCount: TLSFiles.fileBytesMax + 1)
      } catch {
        throw RPCError(.unavailable, "TLS: cannot read \(path): \(error)", cause: error)
      }
      guard let data, data.count <= TLSFiles.fileBytesMax else {
        throw RPCError(
          .invalidArgument,
          "TLS: \(path) is empty or larger than \(TLSFiles.fileBytesMax) bytes"
        )
      }
      contents[path] = Array(data)
    }
    return contents
  }
}
