import Foundation
import Testing

@testable import Files

@Suite struct FileLockTests {
  @Test func `A lock has one owner, even within a process, and is free when it is released`() throws
  {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/lock"
    var lock = try FileLock<TestError>.acquire(path)
    #expect(lock != nil)
    #expect(try FileLock<TestError>.acquire(path) == nil)
    lock = nil
    #expect(try FileLock<TestError>.acquire(path) != nil)
    // It stays: removing it would let two owners lock two files of the same name.
    #expect(try folder.names == ["lock"])
  }

  @Test func `A lock that another process holds is free when that process is killed`() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/lock"
    let owner = try Child("exec 9>'\(path)'; flock 9; echo held; read line")
    try owner.waitForLine()
    #expect(try FileLock<TestError>.acquire(path) == nil)
    owner.kill()
    #expect(try FileLock<TestError>.acquire(path) != nil)
  }

  @Test func `Waiting for a lock ends when its owner does`() async throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/lock"
    let owner = try Child("exec 9>'\(path)'; flock 9; echo held; read line")
    try owner.waitForLine()
    let lock = try await withCheckedThrowingContinuation { continuation in
      DispatchQueue.global().async {
        continuation.resume(with: Result { try FileLock<TestError>.waitFor(path) })
      }
      owner.end()
    }
    #expect(try FileLock<TestError>.acquire(path) == nil)
    withExtendedLifetime(lock) {}
  }

  @Test func `A child that shares the file does not keep the lock`() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/lock"
    var lock = try FileLock<TestError>.acquire(path)
    // As between fork and exec: the child has the descriptor.
    let descriptor = try #require(lock).descriptor
    let child = try Child("echo started; read line", inheriting: descriptor)
    try child.waitForLine()
    #expect(try FileLock<TestError>.acquire(path) == nil)
    lock = nil
    #expect(try FileLock<TestError>.acquire(path) != nil)
    child.end()
  }

  @Test func `A lock in a folder that is not there, or behind a link, is an error`() throws {
    let folder = try TemporaryFolder()
    let nowhere = "\(folder.path)/no/lock"
    #expect(throws: TestError(operation: .open, path: nowhere, number: ENOENT)) {
      try FileLock<TestError>.acquire(nowhere)
    }
    symlink("/dev/null", "\(folder.path)/link")
    #expect(throws: TestError(operation: .open, path: "\(folder.path)/link", number: ELOOP)) {
      try FileLock<TestError>.acquire("\(folder.path)/link")
    }
  }
}

/// A shell that runs a script and says when it is ready.
private final class Child {
  private let identifier: pid_t
  private let input: CInt
  private let output: CInt

  /// Starts the shell; `descriptor` is its file 8.
  init(_ script: String, inheriting descriptor: CInt? = nil) throws {
    var (toChild, fromChild): ([CInt], [CInt]) = ([0, 0], [0, 0])
    guard pipe(&toChild) == 0, pipe(&fromChild) == 0 else {
      throw TestError(operation: .create, path: "pipe", number: errno)
    }
    for end in toChild + fromChild { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, toChild[0], 0)
    posix_spawn_file_actions_adddup2(&actions, fromChild[1], 1)
    if let descriptor { posix_spawn_file_actions_adddup2(&actions, descriptor, 8) }
    let arguments: [UnsafeMutablePointer<CChar>?] =
      ["bash", "-c", script].map { (text: String) in strdup(text) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var identifier = pid_t()
    let result = posix_spawnp(&identifier, "bash", &actions, nil, arguments, environ)
    close(toChild[0])
    close(fromChild[1])
    guard result == 0 else {
      throw TestError(operation: .create, path: "bash", number: result)
    }
    self.identifier = identifier
    (input, output) = (toChild[1], fromChild[0])
  }

  deinit {
    close(input)
    close(output)
  }

  func waitForLine() throws {
    var byte: UInt8 = 0
    repeat {
      guard read(output, &byte, 1) == 1 else {
        throw TestError(operation: .read, path: "bash", number: errno)
      }
    } while byte != UInt8(ascii: "\n")
  }

  func kill() {
    Foundation.kill(identifier, SIGKILL)
    waitpid(identifier, nil, 0)
  }

  func end() {
    var line = UInt8(ascii: "\n")
    write(input, &line, 1)
    waitpid(identifier, nil, 0)
  }
}
