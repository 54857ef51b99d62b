/// Cuts a template into text and tokens, as Jinja does with `trim_blocks` and `lstrip_blocks`:
/// the newline after a block goes, and so do spaces between the start of a line and a block.
struct TemplateLexer {
  struct Token {
    enum Kind: Equatable {
      /// Text outside of blocks.
      case text(String)
      /// `{{` and `}}`
      case outputBegin, outputEnd
      /// `{%` and `%}`
      case blockBegin, blockEnd
      case name(String)
      case string(String)
      case integer(Int)
      case number(Double)
      case symbol(String)
      case end
    }

    var kind: Kind
    var line: Int
  }

  private let scalars: [Unicode.Scalar]
  private var position = 0
  private var line = 1
  private var tokens: [Token] = []
  /// Whether the text that begins here begins a line.
  private var isLineStart = true

  static func tokens(of template: String) throws(TokenizerError) -> [Token] {
    guard template.utf8.count <= TemplateLimits.templateBytesMax else {
      throw TokenizerError(
        .limitExceeded,
        "chat template: \(template.utf8.count) bytes, the limit is "
          + "\(TemplateLimits.templateBytesMax)"
      )
    }
    var lexer = TemplateLexer(template)
    try lexer.run()
    return lexer.tokens
  }

  private init(_ template: String) {
    // Jinja reads all newlines as \n and drops one at the end.
    var scalars: [Unicode.Scalar] = []
    var previous: Unicode.Scalar = " "
    for scalar in template.unicodeScalars {
      if scalar == "\r" {
        scalars.append("\n")
      } else if !(scalar == "\n" && previous == "\r") {
        scalars.append(scalar)
      }
      previous = scalar
    }
    if scalars.last == "\n" { scalars.removeLast() }
    self.scalars = scalars
  }

  private func failure(_ what: String) -> TokenizerError {
    TokenizerError(.template, "chat template, line \(line): \(what)")
  }

  private func scalar(_ offset: Int = 0) -> Unicode.Scalar? {
    position + offset < scalars.count ? scalars[position + offset] : nil
  }

  private func isAt(_ text: StaticString) -> Bool {
    var index = position
    for scalar in text.description.unicodeScalars {
      guard index < scalars.count, scalars[index] == scalar else { return false }
      index += 1
    }
    return true
  }

  private mutating func advance(_ count: Int = 1) {
    for _ in 0..<count {
      if scalars[position] == "\n" { line += 1 }
      position += 1
    }
  }

  private mutating func run() throws(TokenizerError) {
    while position < scalars.count {
      let start = position
      let textLine = line
      while position < scalars.count, !(isAt("{{") || isAt("{%") || isAt("{#")) { advance() }
      var end = position
      let opening = scalar(1)
      if opening != nil, position < scalars.count {
        end = strippedEnd(of: start..<end, sign: scalar(2), isBlock: opening != "{")
      }
      if start < end {
        tokens.append(Token(kind: .text(String(scalars: scalars[start..<end])), line: textLine))
      }
      guard position < scalars.count else { break }
      switch opening {
      case "#": try comment()
      case "{": try tag(.outputBegin, .outputEnd)
      default: try tag(.blockBegin, .blockEnd)
      }
    }
    tokens.append(Token(kind: .end, line: line))
  }

  /// Where the text before a tag ends, once white space is stripped.
  private func strippedEnd(
    of range: Range<Int>,
    sign: Unicode.Scalar?,
    isBlock: Bool
  ) -> Int {
    var end = range.upperBound
    if sign == "-" {
      while end > range.lowerBound, scalars[end - 1].isPythonSpace { end -= 1 }
    } else if sign != "+", isBlock {
      while end > range.lowerBound, scalars[end - 1] != "\n", scalars[end - 1].isPythonSpace {
        end -= 1
      }
      let startsLine = end > range.lowerBound ? scalars[end - 1] == "\n" : isLineStart
      if !startsLine { end = range.upperBound }
    }
    return end
  }

  private mutating func comment() throws(TokenizerError) {
    advance(2)
    while !isAt("#}") {
      guard position < scalars.count else { throw failure("a comment does not end") }
      advance()
    }
    let sign = scalars[position - 1]
    advance(2)
    afterTag(sign: sign, isBlock: true)
  }

  /// Steps over the white space that a tag takes with it.
  private mutating func afterTag(sign: Unicode.Scalar?, isBlock: Bool) {
    if sign == "-" {
      while let next = scalar(), next.isPythonSpace { advance() }
    } else if sign != "+", isBlock, scalar() == "\n" {
      advance()
    }
    isLineStart = position > 0 && scalars[position - 1] == "\n"
  }

  private mutating func tag(_ begin: Token.Kind, _ end: Token.Kind) throws(TokenizerError) {
    let closing: Unicode.Scalar = begin == .outputBegin ? "}" : "%"
    tokens.append(Token(kind: begin, line: line))
    advance(2)
    if scalar() == "-" || scalar() == "+" { advance() }
    var brackets = 0
    while true {
      while let next = scalar(), next.isPythonSpace { advance() }
      guard let next = scalar() else { throw failure("a tag does not end") }
      if brackets == 0 {
        let hasSign = next == "-" || (next == "+" && begin == .blockBegin)
        let offset = hasSign ? 1 : 0
        if scalar(offset) == closing, scalar(offset + 1) == "}" {
          tokens.append(Token(kind: end, line: line))
          advance(offset + 2)
          afterTag(sign: hasSign ? next : nil, isBlock: begin == .blockBegin)
          return
        }
      }
      let token = try token(next)
      switch token.kind {
      case .symbol("("), .symbol("["), .symbol("{"): brackets += 1
      case .symbol(")"), .symbol("]"), .symbol("}"):
        brackets -= 1
        if brackets < 0 { throw failure("a bracket too many") }
      default: break
      }
      tokens.append(token)
    }
  }

  private mutating func token(_ next: Unicode.Scalar) throws(TokenizerError) -> Token {
    let start = line
    switch next {
    case "a"..."z", "A"..."Z", "_": return Token(kind: .name(word()), line: start)
    case "0"..."9": return Token(kind: try number(), line: start)
    case "'", "\"": return Token(kind: .string(try string(next)), line: start)
    default: break
    }
    for symbol in Self.symbols where isAt(symbol) {
      advance(symbol.utf8CodeUnitCount)
      return Token(kind: .symbol(symbol.description), line: start)
    }
    throw failure("an unexpected character \"\(next)\"")
  }

  /// Longer ones first.
  private static let symbols: [StaticString] = [
    "==", "!=", "<=", ">=", "//", "**", "(", ")", "[", "]", "{", "}", "<", ">", "=", "+", "-", "*",
    "/", "%", "~", "|", ".", ",", ":",
  ]

  private mutating func word() -> String {
    let start = position
    while let next = scalar() {
      switch next {
      case "a"..."z", "A"..."Z", "_", "0"..."9": advance()
      default: return String(scalars: scalars[start..<position])
      }
    }
    return String(scalars: scalars[start..<position])
  }

  private mutating func number() throws(TokenizerError) -> Token.Kind {
    var text = ""
    var isInteger = true
    while let next = scalar() {
      if ("0"..."9").contains(next) {
        text.unicodeScalars.append(next)
      } else if next == ".", isInteger, let digit = scalar(1), ("0"..."9").contains(digit) {
        isInteger = false
        text.append(".")
      } else {
        break
      }
      advance()
    }
    if isInteger, let integer = Int(text) { return .integer(integer) }
    guard !isInteger, let number = Double(text), number.isFinite else {
      throw failure("the number \(text.prefix(40)) is too large")
    }
    return .number(number)
  }

  private mutating func string(_ quote: Unicode.Scalar) throws(TokenizerError) -> String {
    var text: [Unicode.Scalar] = []
    advance()
    while let next = scalar() {
      advance()
      if next == quote { return String(scalars: text) }
      if next == "\\" {
        try escape(into: &text)
      } else {
        text.append(next)
      }
    }
    throw failure("a string does not end")
  }

  /// Python's escapes; an unknown one stands for itself.
  private mutating func escape(into text: inout [Unicode.Scalar]) throws(TokenizerError) {
    guard let next = scalar() else { throw failure("a string does not end") }
    advance()
    switch next {
    case "n": text.append("\n")
    case "t": text.append("\t")
    case "r": text.append("\r")
    case "a": text.append("\u{7}")
    case "b": text.append("\u{8}")
    case "v": text.append("\u{B}")
    case "f": text.append("\u{C}")
    case "\\", "'", "\"": text.append(next)
    case "\n": break
    case "x": text.append(try hexadecimal(2))
    case "u": text.append(try hexadecimal(4))
    case "U": text.append(try hexadecimal(8))
    case "0"..."7", "N": throw failure("the escape \\\(next) is not supported")
    default:
      text.append("\\")
      text.append(next)
    }
  }

  private mutating func hexadecimal(_ digits: Int) throws(TokenizerError) -> Unicode.Scalar {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let digit = scalar().flatMap({ Character($0).hexDigitValue }), value < 0x1000_0000
      else { throw failure("a malformed escape") }
      value = value << 4 | UInt32(digit)
      advance()
    }
    guard let scalar = Unicode.Scalar(value) else { throw failure("a malformed escape") }
    return scalar
  }
}
