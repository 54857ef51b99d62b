import Foundation
import Testing

@testable import Gateway

@Suite("Chat response") struct ChatResponseTests {
  private let head = ChatCompletionHead(
    id: "chatcmpl-1",
    created: 7,
    model: "m\"x",
    systemFingerprint: "llmos"
  )

  private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test("is OpenAI's chat.completion") func plain() {
    let json = head.completion(
      text: "a\nb",
      finish: .length,
      usage: ChatUsage(promptTokens: 3, completionTokens: 4)
    )
    #expect(
      text(json)
        == #"{"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"m\"x","#
        + #""system_fingerprint":"llmos","choices":[{"index":0,"message":{"role":"assistant","#
        + #""content":"a\nb","refusal":null},"logprobs":null,"finish_reason":"length"}],"#
        + #""usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#
    )
  }

  @Test("streams role, content, finish and usage", arguments: [false, true])
  func stream(includeUsage: Bool) {
    let frames = ChatStreamFrames(head: head, includeUsage: includeUsage)
    var all = frames.role
    frames.append(text: "é\n", to: &all)
    all += frames.finish(.stop)
    if includeUsage { all += frames.usage(ChatUsage(promptTokens: 1, completionTokens: 2)) }
    all += ChatStreamFrames.done
    let start =
      #"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"m\"x","#
      + #""system_fingerprint":"llmos","choices":["#
    let end = includeUsage ? "],\"usage\":null}\n\n" : "]}\n\n"
    var expected =
      start
      + #"{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}"#
      + end
    expected +=
      start + #"{"index":0,"delta":{"content":"é\n"},"logprobs":null,"finish_reason":null}"# + end
    expected += start + #"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}"# + end
    if includeUsage {
      expected +=
        start + #"],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"# + "\n\n"
    }
    expected += "data: [DONE]\n\n"
    #expect(text(all) == expected)
  }

  @Test("every frame is one line of JSON") func frames() throws {
    let frames = ChatStreamFrames(head: head, includeUsage: true)
    var frame: [UInt8] = []
    frames.append(text: "\u{2028}\r\n\"\\ data: x\n\n", to: &frame)
    let lines = text(frame).split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count == 3 && lines[1].isEmpty && lines[2].isEmpty)
    let json = try JSONSerialization.jsonObject(with: Data(lines[0].dropFirst(6).utf8))
    let choices = (json as? [String: Any])?["choices"] as? [[String: Any]]
    let delta = choices?.first?["delta"] as? [String: String]
    #expect(delta?["content"] == "\u{2028}\r\n\"\\ data: x\n\n")
  }

  @Test("an error is an event of its own") func error() {
    let frame = ChatStreamFrames.error(GatewayError(.unavailable, "gone"))
    #expect(
      text(frame)
        == #"data: {"error":{"message":"gone","type":"server_error","param":null,"code":"service_unavailable"}}"#
        + "\n\n"
    )
  }
}
