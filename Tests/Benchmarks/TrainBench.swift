import ArgumentParser
import Foundation
import Trainer

/// `llmos bench train`: fine-tuning for entities, beside PyTorch.
struct TrainBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Fine-tunes an encoder for entities, by llmos and by PyTorch.",
    discussion: """
      Prints the seconds of all training steps (batches made, forward, reverse, update; no loading, no
      evaluation), entity F1 on the test sentences, and PyTorch's seconds over ours: ratio_ner_f32
      with PyTorch in f32, ratio_ner_bf16 with its bf16 autocast.
      """
  )

  enum Precision: String, ExpressibleByArgument, CaseIterable {
    case f32, bf16
  }

  @Option(
    help: ArgumentHelp(
      "The encoder (default: all-MiniLM-L6-v2 beside the peers, see deploy/models/minilm.sh).",
      valueName: "folder"
    )
  )
  var base: String?

  @Option(
    help: ArgumentHelp(
      "train.conll and test.conll (default: wikiann-en of ../shared/data).",
      valueName: "folder"
    )
  )
  var data: String?

  @Option(help: "Sentences to train on; 0: all.")
  var sentences = 1_600

  @Option(help: "Passes over the sentences.")
  var epochs = 1

  @Option(help: "Threads that compute; PyTorch's script takes 2.")
  var threads = 2

  @Option(help: "Measurements of each, taken in turn; the median counts.")
  var rounds = 1

  @Option(help: "PyTorch's precisions: f32, bf16; repeatable (default: both).")
  var peer: [Precision] = []

  func validate() throws {
    guard sentences >= 0, (1...100).contains(epochs), (1...64).contains(threads),
      (1...99).contains(rounds)
    else {
      throw ValidationError(
        "--sentences is at least 0, --epochs 1 to 100, --threads 1 to 64, --rounds 1 to 99"
      )
    }
  }

  /// What one side came to.
  private struct Outcome {
    var seconds: [Double] = []
    var f1 = 0.0
  }

  func run() throws {
    let folder = NSTemporaryDirectory() + "llmos-bench-\(ProcessInfo.processInfo.processIdentifier)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let work = try Work(self, folder: folder)
    let (python, precisions) = peers()
    var ours = Outcome()
    var theirs: [Precision: Outcome] = [:]
    for round in 0..<rounds {
      let (seconds, f1) = try work.train(round: round)
      ours.seconds.append(seconds)
      ours.f1 = f1
      for precision in precisions {
        guard let python else { continue }
        let (seconds, f1) = try work.train(python, precision)
        theirs[precision, default: Outcome()].seconds.append(seconds)
        theirs[precision]?.f1 = f1
      }
    }
    let seconds = Figures.median(ours.seconds)
    Figures.show("llmos_ner_f32", seconds, "s")
    Figures.show("llmos_ner_f32_f1", ours.f1, "F1", digits: 4)
    for precision in precisions {
      guard let outcome = theirs[precision] else { continue }
      let peerSeconds = Figures.median(outcome.seconds)
      Figures.show("pytorch_ner_\(precision.rawValue)", peerSeconds, "s")
      Figures.show("pytorch_ner_\(precision.rawValue)_f1", outcome.f1, "F1", digits: 4)
      Figures.show("ratio_ner_\(precision.rawValue)", peerSeconds / seconds, "x")
    }
  }

  /// PyTorch, or nothing where it is not installed.
  private func peers() -> (PythonPeer?, [Precision]) {
    do {
      return (try PythonPeer(script: "train_ner.py"), peer.isEmpty ? Precision.allCases : peer)
    } catch {
      FileHandle.standardError.write(Data("PyTorch is not measured: \(error)\n".utf8))
      return (nil, [])
    }
  }

  /// The same work for both sides.
  private struct Work {
    private let options: TrainBench
    private let base: String
    private let folder: String
    private let train: SentenceFile
    private let test: SentenceFile

    init(_ options: TrainBench, folder: String) throws {
      self.options = options
      self.folder = folder
      base = options.base ?? "\(PythonPeer.folder)/all-MiniLM-L6-v2"
      let data = options.data ?? "\(PythonPeer.sharedFolder)/data/wikiann-en"
      let count = options.sentences == 0 ? nil : options.sentences
      train = try SentenceFile(path: "\(data)/train.conll", sentencesMax: count)
      test = try SentenceFile(path: "\(data)/test.conll", sentencesMax: count)
      try train.write(to: "\(folder)/train.conll")
      try test.write(to: "\(folder)/test.conll")
      // The script wants one; it is evaluated outside of what is measured.
      try test.write(to: "\(folder)/dev.conll")
    }

    /// Seconds of our steps, and F1.
    func train(round: Int) throws -> (Double, Double) {
      let run = try TrainingRun(
        task: .ner,
        configuration: TrainingConfiguration(
          task: .ner,
          settings: [
            "epochs": String(options.epochs), "batchSize": "32", "learningRate": "5e-5",
            "tokensMax": "128", "evaluationsPerEpoch": "0", "checkpointSteps": "0",
          ]
        ),
        input: TrainingInput(train: train, test: test, baseModel: base),
        workFolder: "\(folder)/run-\(round)",
        threads: options.threads
      )
      let clock = ContinuousClock()
      var (mark, spent) = (clock.now, Duration.zero)
      let result = try run.run(onEvent: { event in
        // What lies between two steps is theirs; an evaluation or a checkpoint starts anew.
        if case .step = event { spent += mark.duration(to: clock.now) }
        mark = clock.now
      })
      return (spent / .seconds(1), result.metrics["f1"] ?? 0)
    }

    /// Seconds of PyTorch's steps, and F1, from what the script prints:
    /// `epoch 1 loss 0.4 dev_f1 0.7 train_seconds 90` and `micro avg  0.73 0.77 0.75 13904`.
    func train(_ python: PythonPeer, _ precision: Precision) throws -> (Double, Double) {
      var arguments = [base, folder, "\(folder)/peer", "--epochs", String(options.epochs)]
      if precision == .f32 { arguments.append("--f32") }
      let lines = try python.run(arguments).map { $0.split(separator: " ") }
      guard
        let seconds = lines.last(where: { $0.first == "epoch" })?.last.flatMap({ Double($0) }),
        let scores = lines.first(where: { $0.starts(with: ["micro", "avg"]) && $0.count == 6 }),
        let f1 = Double(scores[4]), seconds > 0
      else { throw BenchError("train_ner.py did not print its seconds and scores") }
      return (seconds, f1)
    }
  }
}
