/// The bounds of chat templates, which come with models and are not trusted.
package enum TemplateLimits {
  /// The longest template; those in wide use have up to 20 KB.
  package static let templateBytesMax = 256 << 10
  /// The deepest nesting of blocks (`for`, `if`).
  package static let blockDepthMax = 32
  /// The deepest expression, counted in operators, calls and brackets.
  package static let expressionDepthMax = 128
  /// The deepest nesting of brackets and signs, which the parser follows by recursion.
  package static let bracketDepthMax = 64
  /// The deepest value: lists of lists of lists.
  ///
  /// A context read from JSON has `JSONLimits.depthMax`
  /// levels.
  package static let valueDepthMax = 100
  /// How deep statements, expressions and macros run within each other.
  package static let runDepthMax = 160
  /// The most numbers of a `range`, as in Jinja's sandbox.
  package static let rangeMax = 100_000
  /// The most named arguments of a call and the most parameters of a macro.
  package static let argumentsMax = 255
  /// The most names of templates that one model may have.
  package static let namedTemplatesMax = 64
  /// What evaluating an expression or running a statement costs of `TemplateBudget.workMax`.
  static let stepWork = 64
}

/// What one rendering may cost.
struct TemplateBudget: Sendable {
  /// The longest prompt.
  var outputBytesMax = 8 << 20
  /// What all strings and lists that are built may have together, freed ones included.
  var builtBytesMax = 64 << 20
  /// Work: `stepWork` for each expression, statement and round of a loop, and 1 for each byte that
  /// an operation reads.
  ///
  /// The bound is about a second.
  var workMax = 128 << 20
}
