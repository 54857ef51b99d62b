import ArgumentParser
import RPCBenchmark

/// The benchmarks, each a subcommand; `llmos bench` starts them.
///
/// A case prints `name value unit`, one line each; a peer runs on the same work in the same run, and
/// `ratio_…` is its time over ours.
@main
struct LLMOSBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "llmos bench",
    abstract: "Measures this machine's speed at what llmos does, beside its peers.",
    discussion: "Measure on an idle machine.",
    subcommands: [RPCBench.self, TrainBench.self]
  )
}
