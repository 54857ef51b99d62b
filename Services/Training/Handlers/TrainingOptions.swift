import Foundation
import ServiceKit

/// The training service's own options.
enum TrainingOptions {
  static let directory = ServiceOption(
    "training.dir",
    default: defaultDirectory(ProcessInfo.processInfo.environment),
    help: "Folder of the jobs: their database, checkpoints and reports. One process at a time.",
    problem: { $0.isEmpty ? "is empty" : nil }
  )
  static let data = ServiceOption(
    "data.address",
    default: ServiceAddress(host: "127.0.0.1", port: 7104),
    help: "Where the data-management service is: datasets and the registry of models."
  )
  static let jobsMax = ServiceOption(
    "jobs.max",
    default: 1,
    in: 1...64,
    unit: "jobs",
    help: "Jobs that run at once; further ones wait. Threads and memory are shared out equally."
  )
  static let threads = ServiceOption(
    "training.threads",
    default: Int?.none,
    unit: "threads",
    help: "Threads of all jobs together; default: the processors the service may use.",
    problem: { $0.map { (1...1_024).contains($0) } ?? true ? nil : "is outside 1...1024" }
  )
  static let memory = ServiceOption(
    "training.memory",
    default: ByteCount?.none,
    help:
      "Memory of all jobs together; default: three quarters of what the container or machine has."
  )
  static let grace = ServiceOption(
    "worker.grace",
    default: Duration.seconds(4),
    in: .zero ... .seconds(600),
    help: "How long a worker may take to stop before it is killed."
  )
  static let worker = ServiceOption(
    "worker.path",
    default: String?.none,
    help: "The worker's executable; default: llmos-training-worker beside this one."
  )

  static let all: [any DeclaredOption] = [
    directory, data, jobsMax, threads, memory, grace, worker,
  ]

  /// The folder `training` of the suite's home, where `llmos up` keeps it too.
  private static func defaultDirectory(_ environment: [String: String]) -> String {
    if let home = environment["LLMOS_HOME"], !home.isEmpty { return "\(home)/training" }
    return "\(environment["HOME"] ?? ".")/.llmos/training"
  }
}
