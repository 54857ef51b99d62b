import Foundation
import Logging
import RPC
import Synchronization
import Testing

@testable import ServiceKit

/// Keeps log lines for a test.
final class MemorySink: LogSink {
  private let stored = Mutex<[String]>([])
  func write(_ line: [UInt8]) {
    stored.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
  }
  var lines: [String] { stored.withLock { $0 } }
}

@Suite struct LogLines {
  private let sink = MemorySink()

  private func logger(_ format: LogFormat, level: Logger.Level = .trace) -> Logger {
    Logger(label: "test") { _ in
      LineLogHandler(
        service: "llmos-test",
        format: format,
        level: level,
        sink: sink,
        now: { Timestamp(milliseconds: 1_795_252_500_123) }
      )
    }
  }

  private func json(_ line: String) throws -> [String: Any] {
    #expect(line.hasSuffix("}\n"))
    #expect(line.unicodeScalars.filter { $0.value < 0x20 }.count == 1)
    let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
    return try #require(object as? [String: Any])
  }

  @Test func `a text line is logfmt`() {
    logger(.text).info("listening", metadata: ["port": "7101", "host": "a b"])
    #expect(
      sink.lines == [
        "time=2026-11-21T09:15:00.123Z level=info service=llmos-test msg=listening "
          + "host=\"a b\" port=7101\n"
      ]
    )
  }

  @Test func `a JSON line is one object`() throws {
    logger(.json).error("it \"broke\"", metadata: ["n": .stringConvertible(3)])
    #expect(
      sink.lines == [
        #"{"time":"2026-11-21T09:15:00.123Z","level":"error","service":"llmos-test","#
          + #""msg":"it \"broke\"","n":"3"}"# + "\n"
      ]
    )
    #expect(try json(sink.lines[0])["msg"] as? String == "it \"broke\"")
  }

  @Test func `levels below the chosen one are not written`() {
    let logger = logger(.text, level: .warning)
    logger.info("no")
    logger.warning("yes")
    #expect(sink.lines.count == 1)
  }

  @Test func `the request id of the task is on the line`() throws {
    RequestContext.$current.withValue(RequestContext(requestID: "req-1")) {
      logger(.text).info("a")
      logger(.json).info("b")
    }
    #expect(sink.lines[0].contains(" msg=a request_id=req-1\n"))
    #expect(try json(sink.lines[1])["request_id"] as? String == "req-1")
  }

  @Test(arguments: [
    "a\nb", "a\r\nlevel=info msg=forged", "tab\t", "\u{1b}[31mred", "nul\u{0}", "c1\u{9b}31m",
    "sep\u{2028}\u{2029}", "bidi\u{202e}txt\u{2066}", "quote\"back\\slash", "", "a=b", "é 日本 🙂",
  ])
  func `no text breaks out of its line or its quotes`(text: String) throws {
    let message = Logger.Message(stringLiteral: text)
    logger(.text).info(message, metadata: ["value": .string(text)])
    logger(.json).info(message, metadata: ["value": .string(text)])
    for line in sink.lines {
      #expect(line.unicodeScalars.filter { $0.properties.generalCategory == .control }.count == 1)
      #expect(!line.unicodeScalars.contains { (0x2028...0x202e).contains($0.value) })
      #expect(line.hasSuffix("\n"))
    }
    let object = try json(sink.lines[1])
    #expect(object["msg"] as? String == text)
    #expect(object["value"] as? String == text)
  }

  @Test func `metadata names cannot shadow fields or break the line`() throws {
    logger(.json).info(
      "m",
      metadata: ["msg": "1", "a b\n\"": "2", "": "3", "vllm:x/y.z-1": "4"]
    )
    let object = try json(sink.lines[0])
    #expect(object["msg"] as? String == "m")
    #expect(object["meta_msg"] as? String == "1")
    #expect(object["a_b__"] as? String == "2")
    #expect(object["_"] as? String == "3")
    #expect(object["vllm:x/y.z-1"] as? String == "4")
  }

  @Test func `nested metadata is JSON, to a bounded depth`() throws {
    var deep: Logger.MetadataValue = "end"
    for _ in 0..<50 { deep = .array([deep]) }
    logger(.json).info("m", metadata: ["list": ["a", ["k": "v\n"]], "deep": deep])
    logger(.text).info("m", metadata: ["list": ["a", ["k": "v\n"]]])
    let object = try json(sink.lines[0])
    let list = try #require(object["list"] as? [Any])
    #expect(list[1] as? [String: String] == ["k": "v\n"])
    #expect(sink.lines[0].contains(#""deep":[[[["…"]]]]"#))
    #expect(sink.lines[1].hasSuffix(#"list="[\"a\",{\"k\":\"v\\n\"}]""# + "\n"))
  }

  @Test(arguments: [LogFormat.text, .json])
  func `a line is bounded and says what it left out`(format: LogFormat) throws {
    let long = String(repeating: "é\u{0}", count: 100_000)
    var metadata: Logger.Metadata = [:]
    for index in 0..<500 { metadata["key\(index)"] = .string(String(long.prefix(3000))) }
    metadata["zlist"] = .array(Array(repeating: "item", count: 100_000))
    logger(format).info(Logger.Message(stringLiteral: long), metadata: metadata)
    let line = sink.lines[0]
    #expect(line.utf8.count <= LogLine.bytesMax)
    #expect(line.contains("…"))
    #expect(line.contains("truncated"))
    if format == .json { _ = try json(line) }
  }

  @Test func `a handler's own metadata yields to the event's`() {
    var logger = logger(.text)
    logger[metadataKey: "a"] = "1"
    logger[metadataKey: "b"] = "1"
    logger.info("m", metadata: ["b": "2"])
    #expect(sink.lines[0].hasSuffix("msg=m a=1 b=2\n"))
  }

  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
      (951_782_400_000, "2000-02-29T00:00:00.000Z"),
      (1_709_251_199_007, "2024-02-29T23:59:59.007Z"),
      (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
    ] as [(Int64, String)]
  )
  func `times are RFC 3339 in UTC`(milliseconds: Int64, text: String) {
    #expect(Timestamp(milliseconds: milliseconds).rfc3339 == text)
  }
}

@Suite struct RequestContexts {
  private static let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

  @Test func `a caller's id and trace are taken over`() {
    let context = RequestContext(
      requestID: "Req_1.2:3-4",
      traceparent: Self.trace,
      tracestate: "vendor=1"
    )
    #expect(context.requestID == "Req_1.2:3-4")
    #expect(context.trace == TraceContext(parent: Self.trace, state: "vendor=1"))
  }

  @Test(arguments: ["", "a b", "a\nb", "é", "a\"", "a/b", String(repeating: "x", count: 129)])
  func `a bad id is replaced by a fresh one`(id: String) {
    let context = RequestContext(requestID: id)
    #expect(context.requestID != id)
    #expect(context.requestID.utf8.count == 32)
    #expect(RequestContext.isValid(requestID: context.requestID))
  }

  @Test func `fresh ids differ`() {
    #expect(Set((0..<1000).map { _ in RequestContext.freshID() }).count == 1000)
  }

  @Test(arguments: [
    "", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
    "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
    "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
  ])
  func `a malformed trace parent is left out with its state`(text: String) {
    let context = RequestContext(traceparent: text, tracestate: "a=1")
    #expect(context.trace == nil)
  }

  @Test func `a later version of the trace parent is passed on`() {
    let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"
    #expect(RequestContext(traceparent: later).trace?.parent == later)
  }
}
