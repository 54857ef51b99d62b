import Glibc

@testable import FuzzedRPC

/// libFuzzer's loop (its "using libFuzzer as a library").
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
  _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Runs the fuzzer of the target that `FUZZ_TARGET` names; without one, lists them.
@main struct FuzzMain {
  static let targets: [String: @Sendable ([UInt8]) -> Void] = [
    "session_server": SessionFuzz.server,
    "session_client": SessionFuzz.client,
    "connection": ConnectionFuzz.raw,
    "calls": ConnectionFuzz.scripted,
    "client": ClientFuzz.raw,
    "messages": WireFuzz.messages,
    "metadata": WireFuzz.metadata,
    "text": WireFuzz.text,
    "names": NamesFuzz.names,
    "config": ConfigFuzz.config,
  ]
  nonisolated(unsafe) private static var target: ([UInt8]) -> Void = { _ in }

  static func main() {
    guard let name = getenv("FUZZ_TARGET").map({ String(cString: $0) }),
      let target = targets[name]
    else {
      for name in targets.keys.sorted() { print(name) }
      return
    }
    Self.target = target
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
    let result = runFuzzer(&count, &arguments) { bytes, count in
      FuzzMain.target(Array(UnsafeBufferPointer(start: bytes, count: count)))
      return 0
    }
    exit(result)
  }
}

/// Reads decisions from the front of an input; what is left is data.
struct FuzzInput {
  private(set) var bytes: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

  var isEmpty: Bool { bytes.isEmpty }

  /// A byte; zero after the end.
  mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }

  /// A number from 0 to below `bound`, at most 256.
  mutating func number(below bound: Int) -> Int { Int(byte()) % bound }

  mutating func take(_ count: Int) -> [UInt8] {
    defer { bytes = bytes.dropFirst(count) }
    return Array(bytes.prefix(count))
  }

  /// What is left, in pieces whose length follows from `seed`.
  mutating func pieces(_ seed: UInt8) -> [[UInt8]] {
    var state = UInt32(seed) | 1
    var result: [[UInt8]] = []
    while !bytes.isEmpty {
      state = state &* 1_664_525 &+ 1_013_904_223
      let count = seed == 0 ? bytes.count : Int(state >> 24) % (seed < 64 ? 8 : 200) + 1
      result.append(take(count))
    }
    return result
  }
}

extension HTTP2Session {
  func receive(_ bytes: [UInt8], at now: UInt64) throws(HTTP2SessionError) {
    let failure = bytes.withUnsafeBytes { bytes -> HTTP2SessionError? in
      do throws(HTTP2SessionError) {
        try receive(bytes, at: now)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw failure }
  }
}
