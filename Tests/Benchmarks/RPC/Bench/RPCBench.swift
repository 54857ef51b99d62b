public import ArgumentParser
import Foundation

/// `llmos bench rpc`: our RPC layer beside gRPC C++ and grpc-swift-2.
public struct RPCBench: ParsableCommand {
  /// The name and the words of `--help`.
  public static let configuration = CommandConfiguration(
    commandName: "rpc",
    abstract: "Serves the same echo by llmos, gRPC C++ and grpc-swift-2, and loads each.",
    discussion: """
      The load is h2load's, one thread. calls_per_cpu_s counts the server's own processor seconds
      (user and system, /proc/PID/stat); ratio_grpc_cpp and ratio_grpc_swift compare them for unary
      calls of 21 bytes on 10 connections of 100 streams, in rounds that take the servers in turn.
      """
  )

  @Option(help: "Peers to measure: grpc-cpp, grpc-swift; repeatable (default: both).")
  var peer: [Peer] = []

  @Flag(help: "No peers.")
  var alone = false

  @Option(help: "Connections x streams of the grid; repeatable (default: 1x1, 1x100, 10x100).")
  var shape: [Shape] = []

  @Option(help: "Seconds of each measurement.")
  var seconds = 3

  @Option(help: "Rounds of the comparison; the median counts.")
  var rounds = 5

  @Flag(help: "The comparison, latency and allocations alone, in short measurements.")
  var quick = false

  @Option(
    help: ArgumentHelp(
      "Where peers are built (default: rpc beside the others).",
      valueName: "folder"
    )
  )
  var cache: String?

  /// Creates the command; its options are parsed.
  public init() {}

  /// Refuses numbers that would never end.
  public func validate() throws {
    guard (1...600).contains(seconds), (1...99).contains(rounds) else {
      throw ValidationError("--seconds is 1 to 600, --rounds 1 to 99")
    }
  }

  /// Builds the peers, measures and prints.
  ///
  /// Throws `RPCBenchError` when our own server or h2load cannot be run.
  public func run() throws {
    let folder = try WorkFolder(cache: cache)
    try Shell.run(
      "/bin/bash",
      ["\(WorkFolder.sources)/../../../deploy/install.sh", "nghttp2-client"]
    )
    let contenders = try contenders(folder)
    let measurement = Measurement(
      folder: folder,
      contenders: contenders,
      seconds: quick ? min(seconds, 2) : seconds,
      rounds: quick ? min(rounds, 3) : rounds
    )
    try measurement.compare()
    try measurement.latency()
    try measurement.allocations()
    guard !quick else { return }
    try measurement.streams()
    try measurement.idleConnections(10_000)
    try measurement.grid(shape.isEmpty ? Shape.all : shape)
    try measurement.ownClients(shape.isEmpty ? Shape.all : shape)
  }

  /// Ours first, then the peers that can be built.
  private func contenders(_ folder: WorkFolder) throws -> [Contender] {
    var contenders = [Contender(name: "llmos", executable: try Contender.ours())]
    let peers = alone ? [] : peer.isEmpty ? Peer.allCases : peer
    for peer in peers {
      do {
        contenders.append(
          Contender(name: peer.figureName, executable: try peer.build(in: folder))
        )
      } catch {
        Report.note("\(peer.figureName) not_measured: \(error)")
      }
    }
    return contenders
  }
}

/// What llmos is measured against.
enum Peer: String, ExpressibleByArgument, CaseIterable {
  case cpp = "grpc-cpp"
  case swift = "grpc-swift"

  /// The name in figures.
  var figureName: String { rawValue.replacing("-", with: "_") }

  /// Builds it, once, and returns its executable.
  func build(in folder: WorkFolder) throws -> String {
    let lines = try Shell.run(
      "/bin/bash",
      ["\(WorkFolder.sources)/peers/build.sh", rawValue, "\(folder.path)/\(rawValue)"]
    )
    guard let path = lines.last, FileManager.default.isExecutableFile(atPath: String(path)) else {
      throw RPCBenchError("\(rawValue): build.sh printed no executable")
    }
    return String(path)
  }
}

/// Connections and streams on each.
struct Shape: ExpressibleByArgument, CustomStringConvertible {
  let connections: Int
  let streams: Int

  static let all = [Shape(1, 1), Shape(1, 100), Shape(10, 100)]

  init(_ connections: Int, _ streams: Int) {
    self.connections = connections
    self.streams = streams
  }

  init?(argument: String) {
    let parts = argument.split(separator: "x").compactMap { Int($0) }
    guard parts.count == 2, (1...1_000).contains(parts[0]), (1...1_000).contains(parts[1]) else {
      return nil
    }
    self.init(parts[0], parts[1])
  }

  var description: String { "\(connections)x\(streams)" }
}

/// Why something cannot be measured.
struct RPCBenchError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}
