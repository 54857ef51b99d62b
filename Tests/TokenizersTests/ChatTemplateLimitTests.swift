import Testing

@testable import Tokenizers

/// Templates that want more than they may have.
@Suite struct ChatTemplateLimitTests {
  private func error(
    _ template: String,
    _ messages: [ChatMessage] = [],
    budget: TemplateBudget = TemplateBudget()
  ) -> TokenizerError? {
    do {
      let chat = try ChatTemplate(config: nil, chatTemplate: template)
      _ = try chat?.render(messages, addGenerationPrompt: true, budget: budget)
      return nil
    } catch {
      return error as TokenizerError
    }
  }

  private static let doubling = "{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}"
  private static let rounds =
    "{% for a in 'aaaaaaaaaa' %}{% for b in 'aaaaaaaaaa' %}{% for c in 'aaaaaaaaaa' %}"
    + "{% for d in 'aaaaaaaaaa' %}{% for e in 'aaaaaaaaaa' %}{% for f in 'aaaaaaaaaa' %}"
  private static let roundEnds = String(repeating: "{% endfor %}", count: 6)

  @Test(arguments: [
    doubling + rounds + "{% set ns.x = ns.x + ns.x %}" + roundEnds,
    doubling + rounds + "{% set ns.x = ns.x ~ ns.x %}" + roundEnds,
    doubling + rounds + "{% set ns.x = [ns.x, ns.x] | join %}" + roundEnds,
    doubling + rounds + "{% set ns.x = [ns.x, ns.x] | tojson %}" + roundEnds,
    doubling + rounds + "{% set ns.x = ([ns.x] + [ns.x]) | string %}" + roundEnds,
    doubling + rounds + "{% set ns.x = ns.x * 1000000 %}" + roundEnds,
    doubling + rounds + "{% set ns.x = [1] * 1000000000 %}" + roundEnds,
    doubling + rounds + "{% set ns.x = ns.x * 9223372036854775807 %}" + roundEnds,
    doubling + rounds + "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}" + roundEnds,
    doubling + rounds + "{% set ns.x = ns.x.upper() ~ ns.x %}" + roundEnds,
    rounds + "{{ a }}{{ b }}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" + roundEnds,
    rounds + "{{ 'x' in messages[0].content }}" + roundEnds,
    rounds + "{{ messages[0].content == messages[1].content }}" + roundEnds,
    rounds + "{% set x = messages[0].content | length %}" + roundEnds,
    rounds + "{% set x = messages | tojson | length %}" + roundEnds,
    rounds + "{% if 1 %}{% endif %}" + roundEnds,
  ])
  func boundsWhatATemplateBuildsWritesAndWorks(template: String) throws {
    let long = String(repeating: "a", count: 100_000)
    let messages = [
      ChatMessage(role: "user", content: long), ChatMessage(role: "user", content: long),
    ]
    // The code is the same; with the real bounds this takes a second each in release.
    let budget = TemplateBudget(
      outputBytesMax: 64 << 10,
      builtBytesMax: 1 << 20,
      workMax: 2 << 20
    )
    #expect(error(template, messages, budget: budget)?.code == .limitExceeded)
  }

  @Test func boundsNesting() {
    func nested(_ open: String, _ inner: String, _ close: String, _ count: Int) -> String {
      String(repeating: open, count: count) + inner + String(repeating: close, count: count)
    }
    for count in [200, 20_000] {
      let templates = [
        "{{ " + nested("(", "1", ")", count) + " }}",
        "{{ " + nested("[", "1", "]", count) + " }}",
        "{{ " + nested("not ", "1", "", count) + " }}",
        "{{ " + nested("- ", "1", "", count) + " }}",
        "{{ 1" + nested(" + 1", "", "", count) + " }}",
        "{{ 1" + nested(" | string", "", "", count) + " }}",
        "{{ 1" + nested(" if 1 else 1", "", "", count) + " }}",
        "{{ a" + nested(".a", "", "", count) + " }}",
        "{{ a" + nested("[a", "", "]", count) + " }}",
        nested("{% if 1 %}", "x", "{% endif %}", count),
        nested("{% for x in y %}", "x", "{% endfor %}", count),
        nested("{% set x %}", "x", "{% endset %}", count),
      ]
      for template in templates {
        let code = error(template)?.code
        #expect(code == .template || code == .limitExceeded, "\(template.prefix(40))")
      }
    }
    #expect(
      error("{% for a in 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' %}{% endfor %}") == nil
    )
    let deepening =
      "{% set ns = namespace(x=1) %}{% for a in range(200) %}{% set ns.x = [ns.x] %}{% endfor %}"
    #expect(error(deepening)?.message.contains("nested deeper") == true)
  }

  @Test func boundsTheTemplateItself() {
    let template = String(repeating: "a", count: TemplateLimits.templateBytesMax + 1)
    #expect(error(template)?.code == .limitExceeded)
  }

  @Test func aNamespaceMayHoldItself() {
    #expect(error("{% set n = namespace() %}{% set n.n = n %}{{ n }}{{ n == n.n }}") == nil)
    #expect(error("{% set n = namespace() %}{% set n.n = [n] %}{{ n.n[0].n | length }}") == nil)
    #expect(error("{% set n = namespace() %}{% set n.n = n %}{{ n | tojson }}")?.code == .template)
    // Freed one after the other, not each within the one before.
    let chain =
      "{% set n = namespace() %}{% for a in range(50000) %}{% set n.n = namespace(n=n.n) %}"
      + "{% endfor %}"
    #expect(error(chain) == nil)
  }

  /// What one round keeps holds what the round before kept: all is freed in the end, in no deep
  /// recursion.
  @Test(arguments: [
    "{% set n.x = joiner(n.x) %}", "{% set n.x = cycler(n.x) %}", "{% set n.x = [n.x].index %}",
    "{% set n.x = [1] | map('default', n.x) %}",
    "{% for l in [n.x] %}{% set n.x = loop %}{% endfor %}",
    "{{ v(n.x) }}", "{{ k(a=n.x) }}", "{{ r(n.x) }}", "{{ c(n.x) }}", "{{ m(n.x) }}",
    "{{ g(n.x) }}",
    "{% for l in [1] %}{% if loop.changed(n.x) %}{% set n.x = loop %}{% endif %}{% endfor %}",
  ])
  func chainsOfValuesAreFreedWithoutDeepRecursion(round: String) {
    let macros =
      "{% set n = namespace(x=1) %}{% macro v() %}{% set n.x = varargs %}{% endmacro %}"
      + "{% macro k() %}{% set n.x = kwargs %}{% endmacro %}"
      + "{% macro r(p) %}{% for l in [1] recursive %}{% set n.x = loop %}{% endfor %}{% endmacro %}"
      + "{% macro c(p) %}{% for l in [1] if l %}{% set n.x = loop %}{% endfor %}{% endmacro %}"
      + "{% macro m(p) %}{% macro i() %}{{ p }}{% endmacro %}{% set n.x = i %}{% endmacro %}"
      + "{% macro g(p) %}{% call t() %}{{ p }}{% endcall %}{% endmacro %}"
      + "{% macro t() %}{% set n.x = caller %}{% endmacro %}"
    let code = error(macros + "{% for i in range(60000) %}" + round + "{% endfor %}")?.code
    #expect(code == nil || code == .limitExceeded || code == .template)
  }

  private static let manyNames = (0..<7_000).map { "{%set a\($0)=1%}" }.joined()

  @Test(arguments: [
    String(repeating: "{% if a %}{% set b = 1 %}{% endif %}", count: 7_000),
    manyNames + String(repeating: "{%for a in b%}{%endfor%}", count: 5_000),
    manyNames + String(repeating: "{%if a%}{%set q=1%}{%endif%}", count: 5_000),
    "{{ f(" + (0..<20_000).map { "a\($0)=1" }.joined(separator: ",") + ") }}",
    "{% macro f(" + (0..<20_000).map { "a\($0)" }.joined(separator: ",") + ") %}{% endmacro %}",
    String(repeating: "{", count: 200_000), String(repeating: "{%", count: 100_000),
    "{% raw %}" + String(repeating: "{% end", count: 40_000),
    String(repeating: "{% raw", count: 40_000),
    "{{ " + String(repeating: "'a' ~ ", count: 30_000) + "1 }}",
    "{{ [" + String(repeating: "1,", count: 100_000) + "] | length }}",
    String(repeating: "{% if 0 %}{% elif 1 %}{% endif %}", count: 7_000),
    "{% if 0 %}" + String(repeating: "{% elif 0 %}", count: 20_000) + "{% endif %}",
  ])
  func parsesLongTemplatesInLinearTime(template: String) {
    let time = ContinuousClock().measure { _ = error(template) }
    #expect(time < .seconds(20))
  }

  @Test(arguments: [
    "{% set x = 'a' * 1000000 %}{{ ([x] * 100000) | unique(true) | list | length }}",
    "{% set x = 'a' * 1000000 %}{% for i in range(100000) %}{% set y = {x: 1} %}{% endfor %}",
    "{% set x = 'a' * 1000000 %}{% set d = {x: 1} %}{% for i in range(100000) %}{{ d[x] }}"
      + "{% endfor %}",
    "{% for i in range(100000) %}{% set y = 1e300 | round(1) %}{% endfor %}",
    "{% for i in range(100000) %}{% set y = '%.300f' % 1e-300 %}{% endfor %}",
  ])
  func hashingAndDigitsArePaidFor(template: String) {
    #expect(error(template)?.code == .limitExceeded)
  }

  @Test(arguments: [
    "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(n) %}{{ g(n) }}{% endmacro %}{% macro g(n) %}{{ f([n]) }}{% endmacro %}{{ f(1) }}",
    "{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}",
    "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(5000) %}{% set n.x = n.x | map('string') %}"
      + "{% endfor %}{{ n.x | list }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(5000) %}{% set n.x = n.x | select %}"
      + "{% endfor %}{{ n.x | list }}",
    "{{ [1, 2, 3] | map('map', 'map', 'string') | map('list') | list }}{{ range(100001) }}",
    "{{ 'a' | center(99999999999) }}", "{{ '%99999999999d' % 1 }}", "{{ '{:99999999}'.format(1) }}",
    "{{ 'a'.ljust(9223372036854775807) }}", "{{ 'ab' | replace('', 'x' * 9000000) }}",
    "{{ 1 | tojson(indent=99999999999) }}", "{{ [1] | batch(99999999999, 1) | list }}",
    "{{ [1] | slice(99999999999) | list }}", "{{ 'a\tb'.expandtabs(99999999999) }}",
    "{{ ('a\n' * 100000) | indent(9000000) }}", "{{ range(9223372036854775807) }}",
    "{{ range(-9223372036854775807, 9223372036854775807) }}", "{{ 2 ** 9223372036854775807 }}",
    "{{ (-9223372036854775807 - 1) // -1 }}", "{{ -(-9223372036854775807 - 1) }}",
    "{{ (-9223372036854775807 - 1) | abs }}", "{{ 1e300 | int }}",
    "{{ 9223372036854775807 | round(-1) }}", "{{ 9223372036854775807 + 1 }}",
  ])
  func endsHostileTemplatesWithAnError(template: String) {
    let code = error(template)?.code
    #expect(code == .template || code == .limitExceeded)
  }

  @Test func errorsNameTheLineAndTheCause() {
    #expect(
      error("a\n\n{{ missing.x }}")?.message
        == "chat template, line 3: \"missing\" is undefined, it has no \"x\""
    )
    #expect(
      error("a\n{% nonsense %}")?.message
        == "chat template, line 2: the statement \"nonsense\" is not supported here"
    )
    #expect(
      error("{{ 1 | nonsense }}")?.message
        == "chat template, line 1: the filter \"nonsense\" is not supported"
    )
    #expect(
      error("{{ raise_exception('roles must alternate') }}")?.message
        == "chat template, line 1: refused: roles must alternate"
    )
  }

  @Test func randomBytesAndMutationsAsTemplatesNeverCrash() throws {
    var random = SeededRandom(seed: 11)
    let seeds = [
      "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] }}{% endfor %}",
      "{%- if x is defined and x | default([1, {'a': 2}]) -%}{{ loop.index0 * -2 // 3 }}{% else %}"
        + "{# c #}{% set ns = namespace(a=1) %}{% set ns.a = [1:2][0] %}{% endif %}",
    ]
    let parts = [
      "{%", "%}", "{{", "}}", "{#", "-", "'", "\\", "(", "]", "|", "if", "endfor", "\u{0}", "é",
    ]
    for _ in 0..<4_000 {
      var template = Array(seeds[Int.random(in: 0..<2, using: &random)])
      for _ in 0..<Int.random(in: 1...6, using: &random) {
        let index = Int.random(in: 0..<template.count, using: &random)
        if Bool.random(using: &random) {
          template.remove(at: index)
        } else {
          template.insert(contentsOf: parts.randomElement(using: &random) ?? "", at: index)
        }
        if template.isEmpty { template = ["a"] }
      }
      _ = error(String(template), [ChatMessage(role: "user", content: "x")])
      let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      _ = error("{{" + String(decoding: bytes, as: UTF8.self) + "%}")
    }
  }
}

/// A generator with a seed, so that a failure can be had again (SplitMix64).
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
