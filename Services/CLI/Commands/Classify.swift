import ArgumentParser

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `llmos classify`: the labels of a text.
struct Classify: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "classify",
    abstract: "Says which labels fit a text."
  )

  @OptionGroup var gateway: GatewayOptions

  @Option(help: "The model (default: the first text classifier of the suite).")
  var model: String?

  @Option(help: "The most labels to show; 0: all.")
  var top: UInt32 = 5

  @Option(
    help: "What makes scores: softmax, sigmoid or none (default: what the model is made for)."
  )
  var function: String?

  @Flag(help: "Print the gateway's JSON.")
  var json = false

  @Argument(help: "The text.")
  var text: [String]

  func run() async throws {
    let client = GatewayClient(address: gateway.gateway)
    let answer = try await client.classify(
      .init(
        model: try await client.model(model, for: "text-classification", kind: "text classifier"),
        inputs: text.joined(separator: " "),
        parameters: .init(topK: top == 0 ? nil : top, function: function)
      )
    )
    guard !json else {
      Output.line(String(decoding: answer, as: UTF8.self))
      return
    }
    let labels = try JSONDecoder().decode([Label].self, from: answer)
    Output.table([["LABEL", "SCORE"]] + labels.map { [$0.label, Output.score($0.score)] })
  }

  private struct Label: Decodable {
    var label: String
    var score: Double
  }
}
