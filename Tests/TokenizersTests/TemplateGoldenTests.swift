import Foundation
import JSON
import Testing

@testable import Tokenizers

/// Templates and what Jinja2 makes of them, written by `Tests/Fixtures/templates`.
enum TemplateFixtures {
  static let folder = "\(Places.packageRoot)/Tests/Fixtures/templates"

  /// The time that the fixtures are made at.
  static let clock = TemplateClock {
    TemplateTime(year: 2026, month: 3, day: 4, hour: 15, minute: 6, second: 7, microsecond: 89)
  }

  static func read(_ name: String) throws -> JSONValue {
    try JSONValue.read(Data(contentsOf: URL(filePath: "\(folder)/\(name)")))
  }

  /// What a template gives: the text and the ranges of its generation blocks, a refusal or an error.
  static func outcome(_ template: String, _ context: JSONObject) -> (outcome: String, cause: String)
  {
    do {
      let chat = try ChatTemplate(template).render(context: context, clock: clock)
      let ranges = chat.generationRanges.map { "\($0.lowerBound)-\($0.upperBound)" }
      return ("rendered \(chat.text)\nranges \(ranges)", "")
    } catch {
      let cause = (error as TokenizerError).message
      #expect(cause.hasPrefix("chat template, line "), "\(cause)")
      return ((error as TokenizerError).code == .refusedByTemplate ? "refused" : "an error", cause)
    }
  }

  static func expected(_ row: JSONValue) -> String {
    if case .string(let output) = row["output"] {
      let ranges = row["ranges"].elements.map {
        "\($0.elements[0].int ?? -1)-\($0.elements[1].int ?? -1)"
      }
      return "rendered \(output)\nranges \(ranges)"
    }
    if case .string = row["refused"] { return "refused" }
    return "an error"
  }

  /// Compares rows; returns how many differ and how many rendered.
  static func compare(
    _ rows: some Sequence<JSONValue>,
    template: String? = nil,
    context: JSONObject? = nil,
    issuesMax: Int = 12
  ) -> (unequal: Int, rendered: Int) {
    var unequal = 0
    var rendered = 0
    for row in rows {
      var variables = context ?? JSONObject()
      if case .object(let object) = row["context"] { variables = object }
      let template = template ?? row["template"].text
      let (ours, cause) = outcome(template, variables)
      let theirs = expected(row)
      if theirs.hasPrefix("rendered") { rendered += 1 }
      guard !ours.isIdentical(theirs) else { continue }
      unequal += 1
      if unequal <= issuesMax {
        Issue.record(
          """
          \(template.debugDescription)
          ours   \(ours.debugDescription) \(cause)
          theirs \(theirs.debugDescription) \(row["error"].text)
          """
        )
      }
    }
    return (unequal, rendered)
  }
}

@Suite struct TemplateGoldenTests {
  @Test func featuresRenderAndFailAsInJinja2() throws {
    let file = try TemplateFixtures.read("cases.json")
    guard case .object(let context) = file["context"] else { return }
    let cases = file["cases"].elements
    #expect(cases.count >= 200)
    let result = TemplateFixtures.compare(cases, context: context)
    #expect(result.unequal == 0)
    #expect(result.rendered >= 80)
  }

  @Test func conversationsRenderAsInTheTemplatesOfWellKnownModels() throws {
    let models = try TemplateFixtures.read("models.json").elements
    #expect(models.count >= 14)
    for model in models {
      let rows = model["rows"].elements
      #expect(rows.count >= 3)
      let result = TemplateFixtures.compare(rows, template: model["template"].text)
      #expect(result.unequal == 0, "\(model["name"].text)")
    }
  }
}

/// Random templates through Jinja2 and through ours.
@Suite(
  .enabled(if: Places.hasPeers, "the Python peers are not installed (LLMOS_PEERS)")
)
struct TemplateFuzzTests {
  /// `LLMOS_TEMPLATE_FUZZ` is "seed count" for longer runs.
  @Test func randomTemplatesRenderAndFailAsInJinja2() throws {
    let setting = ProcessInfo.processInfo.environment["LLMOS_TEMPLATE_FUZZ"] ?? "5 2000"
    let rows = try Peer.lines(
      "../templates/fuzz.py",
      setting.split(separator: " ").map(String.init)
    )
    guard case .object(let context) = rows[0]["context"] else { return }
    let result = TemplateFixtures.compare(rows.dropFirst(), context: context, issuesMax: 40)
    #expect(result.unequal == 0)
    #expect(5 * result.rendered > 2 * rows.count)
  }
}
