import JSON

/// Rewrites an expression of a `PatternDialect` as one of PCRE2, which reads some of it otherwise.
///
/// White space, word characters and their boundaries are spelt out, for PCRE2's own are others;
/// sets with `&&` or sets in them become look-aheads.
struct PatternTranslation {
  /// The pattern for PCRE2, to be compiled with UTF, UCP and MULTILINE.
  private(set) var output: [UInt8] = []
  /// For each byte of it, the scalar of the source it comes from.
  private(set) var origins: [Int] = []

  let source: [Unicode.Scalar]
  let dialect: PatternDialect
  /// The next scalar of the source.
  var cursor = 0
  /// Where the output of the last thing that can be repeated begins, and whether it is repeated.
  private var atom: Int?
  private var isRepeated = false
  /// Of each open group: where its output begins, and whether white space counted before it.
  private var groups: [(start: Int, isExtended: Bool)] = []
  private var isExtended = false

  /// Translates `pattern`; the error names the pattern and the position.
  init(_ pattern: String, _ dialect: PatternDialect) throws(TokenizerError) {
    source = Array(pattern.unicodeScalars)
    self.dialect = dialect
    guard pattern.utf8.count <= PatternLimits.patternBytesMax else {
      throw TokenizerError(
        .limitExceeded,
        "pattern of \(pattern.utf8.count) bytes; the most is \(PatternLimits.patternBytesMax)"
      )
    }
    while cursor < source.count { try element() }
    guard groups.isEmpty else { throw failure("a group is not closed") }
  }

  func failure(_ reason: String, at position: Int? = nil) -> TokenizerError {
    Self.failure(String(scalars: source), reason, at: position ?? cursor)
  }

  static func failure(_ pattern: String, _ reason: String, at position: Int) -> TokenizerError {
    TokenizerError(
      .invalidFile,
      "pattern \"\(pattern.excerpt(300))\": \(reason) at character \(position)"
    )
  }

  mutating func emit(_ text: String) {
    output.append(contentsOf: text.utf8)
    while origins.count < output.count { origins.append(cursor) }
  }

  private mutating func emitAtom(_ text: String) {
    (atom, isRepeated) = (output.count, false)
    emit(text)
  }

  func peek(_ distance: Int = 0) -> Unicode.Scalar? {
    cursor + distance < source.count ? source[cursor + distance] : nil
  }

  private mutating func element() throws(TokenizerError) {
    let scalar = source[cursor]
    switch scalar {
    case "\\": try escape()
    case "[": emitAtom(try set(depth: 0))
    case "(": try open()
    case ")":
      guard let group = groups.popLast() else { throw failure("unmatched close parenthesis") }
      cursor += 1
      emit(")")
      (atom, isRepeated, isExtended) = (group.start, false, group.isExtended)
    case "|":
      cursor += 1
      emit("|")
      atom = nil
    case "^", "$":
      cursor += 1
      atom = output.count
      let ofText = scalar == "^" ? #"\A"# : #"\z"#
      emit(dialect == .oniguruma ? String(scalar) : ofText)
    case "*", "+", "?": try repetition(String(scalar), taking: 1, isInterval: false, isFixed: false)
    case "{":
      if let interval = interval() {
        try repetition(
          interval.text,
          taking: interval.length,
          isInterval: true,
          isFixed: interval.isFixed
        )
      } else {
        cursor += 1
        emitAtom(#"\{"#)
      }
    case "]", "}":
      cursor += 1
      emitAtom("\\\(scalar)")
    case "#" where isExtended:
      while let next = peek(), next != "\n" {
        _ = next
        cursor += 1
      }
    case _ where isExtended && scalar.properties.isPatternWhitespace: cursor += 1
    case _ where scalar == "#" || scalar.properties.isPatternWhitespace:
      cursor += 1
      emitAtom(#"\x{\#(String(scalar.value, radix: 16))}"#)
    default:
      cursor += 1
      emitAtom(String(scalar))
    }
  }

  /// `{n}`, `{n,}`, `{n,m}` or `{,m}` at the cursor, in PCRE2's form; nil for anything else.
  private func interval() -> (text: String, length: Int, isFixed: Bool)? {
    guard let close = source[cursor...].firstIndex(of: "}"), close - cursor <= 12 else {
      return nil
    }
    let parts = source[cursor + 1..<close].split(separator: ",", omittingEmptySubsequences: false)
      .map { String(scalars: $0) }
    let isNumeric = parts.allSatisfy { $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
    let isEmpty = parts.allSatisfy(\.isEmpty)
    guard isNumeric, !isEmpty, parts.count <= 2, parts.count == 2 || !parts[0].isEmpty else {
      return nil
    }
    if parts.count == 1 { return ("{\(parts[0])}", close + 1 - cursor, true) }
    let least = parts[0].isEmpty ? "0" : parts[0]
    return ("{\(least),\(parts[1])}", close + 1 - cursor, false)
  }

  private mutating func repetition(
    _ text: String,
    taking length: Int,
    isInterval: Bool,
    isFixed: Bool
  ) throws(TokenizerError) {
    guard let start = atom else {
      throw failure("target of repeat operator is not specified")
    }
    if isRepeated { wrap(from: start) }
    cursor += length
    emit(text)
    isRepeated = true
    guard let mode = peek(), mode == "?" || mode == "+" else { return }
    // Ruby's `{n}?` is optional rather than lazy, and `{n,m}+` repeated rather than possessive.
    if dialect == .oniguruma, isInterval, mode == "+" || isFixed { return }
    cursor += 1
    emit(String(mode))
  }

  /// Makes a group of what was emitted from `start` on.
  private mutating func wrap(from start: Int) {
    let origin = start < origins.count ? origins[start] : cursor
    output.insert(contentsOf: "(?:".utf8, at: start)
    origins.insert(contentsOf: [origin, origin, origin], at: start)
    emit(")")
  }

  private mutating func open() throws(TokenizerError) {
    guard groups.count < PatternLimits.nestingMax else {
      throw failure("groups nested deeper than \(PatternLimits.nestingMax)")
    }
    let start = output.count
    guard peek(1) == "?" else {
      // PCRE2 would take `(*` for a verb.
      guard peek(1) != "*" else {
        throw failure("target of repeat operator is not specified", at: cursor + 1)
      }
      cursor += 1
      emit("(")
      groups.append((start, isExtended))
      atom = nil
      return
    }
    let rest = source[cursor...]
    for head in ["(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"]
    where rest.starts(with: head.unicodeScalars) {
      emit(head)
      cursor += head.unicodeScalars.count
      groups.append((start, isExtended))
      atom = nil
      return
    }
    if rest.starts(with: "(?#".unicodeScalars) {
      guard let close = rest.firstIndex(of: ")") else { throw failure("a comment is not closed") }
      cursor = close + 1
      return
    }
    let isNamed = peek(2) == "<" || dialect == .fancyRegex && peek(2) == "P" && peek(3) == "<"
    if isNamed, let close = rest.firstIndex(of: ">") {
      let name = String(scalars: source[cursor..<close])
      cursor = close + 1
      emit(name + ">")
      groups.append((start, isExtended))
      atom = nil
      return
    }
    try options(start)
  }

  /// `(?imx-imx)` or `(?imx-imx:`.
  private mutating func options(_ start: Int) throws(TokenizerError) {
    var text = "(?"
    var isOn = true
    let wasExtended = isExtended
    cursor += 2
    while let scalar = peek(), scalar != ")", scalar != ":" {
      switch scalar {
      case "-" where isOn: isOn = false
      case "i": break
      case "x": isExtended = isOn
      case "m" where dialect == .oniguruma, "s" where dialect == .fancyRegex: break
      default: throw failure("undefined group option")
      }
      // White space is dropped here.
      if scalar != "x" { text += scalar == "m" ? "s" : String(scalar) }
      cursor += 1
    }
    guard let close = peek() else { throw failure("a group is not closed") }
    cursor += 1
    if text == "(?" || text == "(?-" { text = close == ":" ? "(?" : "" }
    guard close == ":" else {
      emit(text.isEmpty ? "" : text + ")")
      atom = nil
      return
    }
    emit(text + ":")
    groups.append((start, wasExtended))
    atom = nil
  }

  private mutating func escape() throws(TokenizerError) {
    let position = cursor
    switch try escaped(inSet: false) {
    case .content(let content, let isNegated): emitAtom("[\(isNegated ? "^" : "")\(content)]")
    case .scalar(let scalar): emitAtom(Self.literal(scalar))
    case .assertion(let text): emitAtom(text)
    case .unknown(let scalar):
      throw failure("\\\(scalar) is not supported", at: position)
    }
  }

  /// A scalar as itself, inside a set or out of it.
  static func literal(_ scalar: UInt32) -> String {
    let isPlain = (0x30...0x39).contains(scalar) || (0x61...0x7A).contains(scalar | 0x20)
    return isPlain && scalar < 0x80
      ? String(scalars: [Unicode.Scalar(UInt8(scalar))]) : "\\x{\(String(scalar, radix: 16))}"
  }
}
