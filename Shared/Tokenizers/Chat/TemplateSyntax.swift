/// An expression of a template.
struct TemplateExpression: Sendable {
  indirect enum Kind: Sendable {
    case literal(TemplateValue)
    case name(String)
    case array([TemplateExpression])
    case dictionary([(key: TemplateExpression, value: TemplateExpression)])
    case attribute(TemplateExpression, String)
    case index(TemplateExpression, TemplateExpression)
    case slice(TemplateExpression, from: TemplateExpression?, to: TemplateExpression?)
    case call(TemplateExpression, [Argument])
    case filter(TemplateExpression, TemplateFilter, [Argument])
    case test(TemplateExpression, TemplateTest, isNegated: Bool)
    case not(TemplateExpression)
    case negative(TemplateExpression)
    case and(TemplateExpression, TemplateExpression)
    case or(TemplateExpression, TemplateExpression)
    case arithmetic(Arithmetic, TemplateExpression, TemplateExpression)
    case concatenation([TemplateExpression])
    case comparison(TemplateExpression, [(Comparison, TemplateExpression)])
    case conditional(TemplateExpression, then: TemplateExpression, else: TemplateExpression?)
  }

  struct Argument: Sendable {
    var name: String?
    var value: TemplateExpression
  }

  enum Arithmetic: String, Sendable {
    case add = "+", subtract = "-", multiply = "*", floorDivide = "//", modulo = "%"
  }

  enum Comparison: String, Sendable {
    case equal = "==", notEqual = "!=", less = "<", lessOrEqual = "<=", greater = ">"
    case greaterOrEqual = ">=", isIn = "in", isNotIn = "not in"
  }

  let kind: Kind
  /// The line it begins on, from 1.
  let line: Int
  /// How deep it is; at most `TemplateLimits.expressionDepthMax`.
  let depth: Int
}

/// A statement of a template, or the text between statements.
indirect enum TemplateStatement: Sendable {
  case text(String)
  case output(TemplateExpression)
  case conditional(
    [(condition: TemplateExpression, body: [TemplateStatement])],
    else: [TemplateStatement]
  )
  case loop(TemplateLoop)
  case set(name: String, TemplateExpression)
  case setMember(namespace: String, name: String, TemplateExpression)
  /// `{% set name %}…{% endset %}`
  case capture(name: String, [TemplateStatement], line: Int)
}

/// A `for` statement.
struct TemplateLoop: Sendable {
  /// One name, or several that each element is unpacked to.
  var targets: [String]
  var sequence: TemplateExpression
  /// Rounds for which this is false are left out.
  var condition: TemplateExpression?
  var body: [TemplateStatement]
  /// What is rendered if there was no round.
  var otherwise: [TemplateStatement]
}

/// The filters there are.
enum TemplateFilter: String, Sendable {
  case trim, length, count, upper, lower, `default`, d, join, tojson, first, last, string
}

/// The tests there are.
enum TemplateTest: String, Sendable {
  case defined, undefined, none, string, boolean, integer, number, mapping, sequence, iterable
  case `true`, `false`
}
