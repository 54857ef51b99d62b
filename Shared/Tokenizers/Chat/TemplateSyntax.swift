/// An expression of a template.
struct TemplateExpression: Sendable {
  indirect enum Kind: Sendable {
    case literal(TemplateValue)
    case name(String)
    case array([TemplateExpression], TemplateArray.Kind)
    case dictionary([(key: TemplateExpression, value: TemplateExpression)])
    case attribute(TemplateExpression, String)
    case index(TemplateExpression, TemplateExpression)
    case slice(TemplateExpression, TemplateSlice)
    case call(TemplateExpression, TemplateCallArguments)
    case filter(TemplateExpression, TemplateFilter, TemplateCallArguments)
    case test(TemplateExpression, TemplateTest, TemplateCallArguments)
    /// A filter or test that does not exist, where it may never be reached.
    case unknown(String)
    /// What the block around has rendered: the value that the filters of a block begin with.
    case rendered
    case not(TemplateExpression)
    case negative(TemplateExpression)
    case positive(TemplateExpression)
    case and(TemplateExpression, TemplateExpression)
    case or(TemplateExpression, TemplateExpression)
    case arithmetic(Arithmetic, TemplateExpression, TemplateExpression)
    case concatenation([TemplateExpression])
    case comparison(TemplateExpression, [(Comparison, TemplateExpression)])
    case conditional(TemplateExpression, then: TemplateExpression, else: TemplateExpression?)
  }

  enum Arithmetic: String, Sendable {
    case add = "+", subtract = "-", multiply = "*", divide = "/", floorDivide = "//"
    case modulo = "%", power = "**"
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

/// The bounds in `[from:to:step]`.
struct TemplateSlice: Sendable {
  var from: TemplateExpression?
  var to: TemplateExpression?
  var step: TemplateExpression?

  var parts: [TemplateExpression] { [from, to, step].compactMap { $0 } }
}

/// The arguments of a call as they are written.
struct TemplateCallArguments: Sendable {
  var positional: [TemplateExpression] = []
  var named: [(name: String, value: TemplateExpression)] = []
  /// What follows `*`: more arguments in order.
  var rest: TemplateExpression?
  /// What follows `**`: more arguments with names.
  var namedRest: TemplateExpression?

  var parts: [TemplateExpression] {
    positional + named.map(\.value) + [rest, namedRest].compactMap { $0 }
  }
}

/// What a `for` or `set` statement assigns to.
indirect enum TemplateTarget: Sendable {
  case name(String)
  /// `namespace.member`
  case member(String, String)
  case tuple([TemplateTarget])
}

/// Statements that run one after the other.
struct TemplateBlock: Sendable {
  var statements: [TemplateStatement] = []
  /// See `TemplateScope.hidden`; set by `TemplateNames`.
  var hidden: Set<String> = []
}

/// A statement of a template, or the text between statements.
indirect enum TemplateStatement: Sendable {
  case text(String)
  case output(TemplateExpression)
  case conditional([TemplateBranch], else: TemplateBlock)
  case loop(TemplateLoop)
  case set(TemplateTarget, TemplateExpression, line: Int)
  /// `{% set name | filter %}…{% endset %}`
  case capture(TemplateTarget, filter: TemplateExpression?, TemplateBlock, line: Int)
  /// `{% filter name %}…{% endfilter %}`
  case filtered(TemplateExpression, TemplateBlock)
  case with([(target: TemplateTarget, value: TemplateExpression)], TemplateBlock)
  case macro(TemplateMacroDefinition)
  /// `{% call(arguments) macro() %}…{% endcall %}`
  case call(TemplateExpression, TemplateCallArguments, caller: TemplateMacroDefinition, line: Int)
  /// `{% generation %}…{% endgeneration %}`: what the assistant says.
  case generation(TemplateBlock)
  case breakLoop
  case continueLoop
}

/// `if` or `elif` and what it runs.
struct TemplateBranch: Sendable {
  var condition: TemplateExpression
  var body: TemplateBlock
}

/// A `for` statement.
struct TemplateLoop: Sendable {
  var target: TemplateTarget
  var sequence: TemplateExpression
  /// Rounds for which this is false are left out.
  var condition: TemplateExpression?
  /// Whether `loop(...)` runs it again.
  var isRecursive: Bool
  var body: TemplateBlock
  /// What is rendered if no round came to its end.
  var otherwise: TemplateBlock?
}

/// A `macro` statement, or the body of a `call` statement.
struct TemplateMacroDefinition: Sendable {
  /// Nil for the body of a `call` statement.
  var name: String?
  var parameters: [(name: String, value: TemplateExpression?)] = []
  var body = TemplateBlock()
  /// Which of `caller`, `varargs` and `kwargs` the body reads.
  var uses: Set<String> = []
}

/// The filters there are.
enum TemplateFilter: String, Sendable {
  case abs, attr, batch, capitalize, center, count, d, `default`, dictsort, e, escape, first
  case float, forceescape, format, groupby, indent, int, items, join, last, length, list, lower
  case map, max, min, pprint, reject, rejectattr, replace, reverse, round, safe, select
  case selectattr, slice, sort, string, striptags, sum, title, tojson, trim, truncate, unique
  case upper, urlencode, wordcount
}

/// The tests there are.
enum TemplateTest: String, Sendable {
  case boolean, callable, defined, divisibleby, equalto, escaped, eq, even, filter, float, ge
  case greaterthan, gt, integer, iterable, `in`, le, lessthan, lower, lt, mapping, ne, none, number
  case odd, sameas, sequence, string, test, undefined, upper
  case `true`, `false`
  case equalSign = "==", unequalSign = "!=", greaterSign = ">", lessSign = "<"
  case greaterOrEqualSign = ">=", lessOrEqualSign = "<="
}
