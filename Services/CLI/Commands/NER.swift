import ArgumentParser

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `llmos ner`: the entities of a text.
struct NER: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ner",
    abstract: "Finds the persons, organizations and places in a text."
  )

  @OptionGroup var gateway: GatewayOptions

  @Option(help: "The model (default: the first entity model of the suite).")
  var model: String?

  @Option(help: "How tokens become entities: none, simple, first, average or max.")
  var strategy = "simple"

  @Flag(help: "Print the gateway's JSON.")
  var json = false

  @Argument(help: "The text.")
  var text: [String]

  func run() async throws {
    let client = GatewayClient(address: gateway.gateway)
    let answer = try await client.ner(
      .init(
        model: try await client.model(model, for: "token-classification", kind: "entity model"),
        inputs: text.joined(separator: " "),
        parameters: .init(aggregationStrategy: strategy)
      )
    )
    guard !json else {
      Output.line(String(decoding: answer, as: UTF8.self))
      return
    }
    let entities = try JSONDecoder().decode([Entity].self, from: answer)
    guard !entities.isEmpty else {
      Output.line("no entities")
      return
    }
    Output.table(
      [["ENTITY", "SCORE", "START", "END", "TEXT"]]
        + entities.map {
          [$0.label, Output.score($0.score), String($0.start), String($0.end), $0.word]
        }
    )
  }

  private struct Entity: Decodable {
    var entity: String?
    var group: String?
    var score: Double
    var word: String
    var start: Int
    var end: Int

    enum CodingKeys: String, CodingKey {
      case entity, score, word, start, end
      case group = "entity_group"
    }

    var label: String { group ?? entity ?? "" }
  }
}
