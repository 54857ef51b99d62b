import ArgumentParser
import SystemPackage

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// `llmos bench`: the benchmarks, an executable of their own beside this one.
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures this machine's speed at what llmos does, beside its peers.",
    discussion: "llmos bench --help lists the benchmarks, llmos bench train --help one's options.",
    helpNames: []
  )

  @Argument(parsing: .captureForPassthrough, help: "The benchmark and its options.")
  var arguments: [String] = []

  func run() throws {
    // OpenBLAS reads it when it is loaded, and would measure another processor's kernels.
    unsetenv("OPENBLAS_CORETYPE")
    let path = Executables.folder.appending("llmos-bench").string
    var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
    words.append(nil)
    // This may run on a thread of a pool, which blocks signals: the benchmark and what it starts would inherit that, and
    // none of them could be ended.
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
    execv(path, words)
    throw ValidationError("\(path) cannot be started: \(String(cString: strerror(errno)))")
  }
}
