import Foundation
import WorkerProtocol

/// A worker for the tests of supervision: it "trains" by counting, keeps checkpoints, and goes wrong when told.
///
/// Settings: `steps`; `do` what, `at` which step, in which `attempts` ("1,2"; none: in all):
/// `signal 9`, `exit 3`, `fail`, `hang` (until SIGTERM), `stubborn` (until SIGKILL), `garbage`, `quit`.
@main
enum SampleWorker {
  static func main() throws {
    let specification = try WorkerHost.specification()
    try WorkerHost.followService()
    try WorkerHost.lock(specification)
    try WorkerHost.tell(.log(.init(level: .info, message: "process \(getpid())")))
    try run(specification)
  }

  private static func run(_ worker: WorkerSpecification) throws {
    let settings = worker.specification.settings
    let steps = settings["steps"].flatMap { UInt64($0) } ?? 3
    let checkpoint = "\(worker.workFolder)/checkpoint"
    var (step, weights) = read(checkpoint)
    try WorkerHost.tell(.prepared(.init(rows: 1, tokens: 2, steps: steps, memoryBytes: 3 << 20)))
    while step < steps {
      if WorkerHost.isStopRequested { exit(1) }
      step += 1
      weights = weights &* 6_364_136_223_846_793_005 &+ step
      let told = WorkerEvent.Step(
        step: step,
        epoch: Double(step) / Double(steps),
        loss: 1 / Double(step),
        learningRate: 0.1,
        gradientNorm: 1,
        tokensPerSecond: 10
      )
      try WorkerHost.tell(.step(told))
      if settings["at"] == "\(step)", isMeant(worker) {
        try act(settings["do"] ?? "")
      }
      let state = Data("\(step) \(weights)".utf8)
      try state.write(to: URL(filePath: checkpoint), options: .atomic)
      try WorkerHost.tell(.checkpoint(.init(step: step)))
    }
    try finish(worker, weights)
  }

  private static func isMeant(_ worker: WorkerSpecification) -> Bool {
    guard let attempts = worker.specification.settings["attempts"] else { return true }
    return attempts.split(separator: ",").contains("\(worker.attempt)")
  }

  private static func read(_ checkpoint: String) -> (UInt64, UInt64) {
    let text = FileManager.default.contents(atPath: checkpoint) ?? Data()
    let numbers = String(decoding: text, as: UTF8.self).split(separator: " ").compactMap {
      UInt64($0)
    }
    return numbers.count == 2 ? (numbers[0], numbers[1]) : (0, 0)
  }

  private static func finish(_ worker: WorkerSpecification, _ weights: UInt64) throws {
    let metrics = ["weights": Double(weights >> 11)]
    try FileManager.default.createDirectory(
      atPath: worker.reportsFolder,
      withIntermediateDirectories: true
    )
    let report = URL(filePath: "\(worker.reportsFolder)/report.txt")
    try Data("weights \(weights)\n".utf8).write(to: report, options: .atomic)
    try WorkerHost.tell(
      .finished(.init(model: "\(worker.specification.model)@1", metrics: metrics))
    )
  }

  private static func act(_ what: String) throws {
    let words = what.split(separator: " ")
    let number = words.dropFirst().first.flatMap { Int32($0) } ?? 0
    FileHandle.standardError.write(Data("first line\nabout to \(what)\n".utf8))
    switch words.first {
    case "signal": kill(getpid(), number)
    case "exit": exit(number)
    case "quit": exit(0)
    case "fail":
      try WorkerHost.tell(.failed(.init(message: "train, row 7: no tags")))
      exit(2)
    case "hang":
      while !WorkerHost.isStopRequested { pause() }
      exit(1)
    case "stubborn":
      while true { pause() }
    case "garbage":
      let long = String(repeating: "x", count: LineSplitter.workerLineBytesMax + 1)
      FileHandle.standardOutput.write(Data("no event\n{\"step\":1}\n\(long)\n".utf8))
    default: break
    }
  }
}
