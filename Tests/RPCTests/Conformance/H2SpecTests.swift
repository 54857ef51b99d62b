import Foundation
import RPC
import Testing

/// Where the program is.
enum H2Spec {
  static let program: String? = ProcessInfo.processInfo.environment["LLMOS_H2SPEC"].flatMap {
    FileManager.default.isExecutableFile(atPath: $0) ? $0 : nil
  }
}

/// Our server under h2spec, where the program is installed (`LLMOS_H2SPEC`: its path).
///
/// The same rules are tested without it by `HTTP2RulesTests`.
@Suite(
  .timeLimit(.minutes(10)),
  .enabled(if: H2Spec.program != nil, "h2spec is not installed (LLMOS_H2SPEC)")
)
struct H2SpecTests {
  /// Frames on closed streams, which we ignore: they may cross with our own end of the stream.
  ///
  /// h2spec tests RFC 7540, which asked for an error. RFC 9113, 5.1, leaves it open ("MAY").
  private static let ignoredFrames = [
    "8: closed: Sends a DATA frame after sending RST_STREAM frame",
    "9: closed: Sends a HEADERS frame after sending RST_STREAM frame",
    "11: closed: Sends a DATA frame", "12: closed: Sends a HEADERS frame",
  ].map { "5.1. Stream States × \($0)" }

  @Test func `h2spec finds our server conforming but for frames on closed streams`() async throws {
    var configuration = ServerConfiguration()
    // h2spec asks for `/` and wants 200 with a body.
    configuration.httpHandler = { _ in PlainHTTPResponse(status: 200, text: "here") }
    try await withServer(EchoService(), configuration) { _, port in
      let h2spec = try Subprocess(
        try #require(H2Spec.program),
        ["-h", "127.0.0.1", "-p", "\(port)", "--strict", "-o", "5"]
      )
      defer { h2spec.terminate() }
      var summary: String?
      var isSummary = false
      var section = ""
      var failures: [String] = []
      for await line in h2spec.lines() {
        let text = line.trimmingCharacters(in: .whitespaces)
        if text == "Failures:" { isSummary = true }
        if isSummary, text.first?.isNumber == true, !text.contains(" tests, ") { section = text }
        if isSummary, text.hasPrefix("×") { failures.append("\(section) \(text)") }
        if text.contains(" tests, ") { summary = text }
      }
      let unknown = failures.filter { !Self.ignoredFrames.contains($0) }
      let problem = summary == nil ? "no result" : unknown.joined(separator: " / ")
      ConformanceTable.add(
        "h2spec --strict: \(summary ?? "")",
        .server,
        problem: problem.isEmpty ? nil : problem
      )
    }
  }
}
