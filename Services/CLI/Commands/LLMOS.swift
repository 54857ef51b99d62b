import ArgumentParser

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The command line of the suite.
@main
struct LLMOS: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "llmos",
    abstract: "Runs language models on this machine and talks to them.",
    version: "0.1.0",
    subcommands: [
      Up.self, Down.self, Status.self, ProcessList.self, Scale.self, Drain.self, Chat.self,
      NER.self, Classify.self, DataCommand.self, Models.self, Train.self, Jobs.self, Runs.self,
      Bench.self,
    ]
  )

  /// Ends quietly when the reader of our output has gone, as in `llmos chat … | head`.
  static func main() async {
    signal(SIGPIPE, SIG_DFL)
    await Self.main(nil)
  }
}
