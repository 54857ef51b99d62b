import JSON

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

  private var isAtTag: Bool {
    guard scalars[position] == "{" else { return false }
    let next = scalar(1)
    return next == "{" || next == "%" || next == "#"
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
      while position < scalars.count, !isAtTag { advance() }
      var end = position
      let opening = scalar(1)
      if opening != nil, position < scalars.count {
        end = strippedEnd(of: start..<end, sign: scalar(2), isBlock: opening != "{")
      }
      appendText(start..<end, textLine)
      guard position < scalars.count else { break }
      switch opening {
      case "#": try comment()
      case "{": try tag(.outputBegin, .outputEnd)
      default: if try !raw() { try tag(.blockBegin, .blockEnd) }
      }
    }
    tokens.append(Token(kind: .end, line: line))
  }

  private mutating func appendText(_ range: Range<Int>, _ line: Int) {
    if range.isEmpty { return }
    tokens.append(Token(kind: .text(String(scalars: scalars[range])), line: line))
  }

  /// Where a block that is only `word` ends if one begins at `start`: its signs and its end.
  private func block(
    _ word: StaticString,
    at start: Int
  ) -> (opening: Unicode.Scalar?, closing: Unicode.Scalar?, end: Int)? {
    var index = start + 2
    func current(_ offset: Int = 0) -> Unicode.Scalar? {
      index + offset < scalars.count ? scalars[index + offset] : nil
    }
    func skipSpace() { while let next = current(), next.isPythonSpace { index += 1 } }
    let opening = current() == "-" || current() == "+" ? current() : nil
    if opening != nil { index += 1 }
    skipSpace()
    for scalar in word.description.unicodeScalars {
      guard current() == scalar else { return nil }
      index += 1
    }
    skipSpace()
    let closing = current() == "-" || current() == "+" ? current() : nil
    if closing != nil { index += 1 }
    guard current() == "%", current(1) == "}" else { return nil }
    return (opening, closing, index + 2)
  }

  /// Steps over `{% raw %}…{% endraw %}` and takes the text in it as it is; false if none begins.
  private mutating func raw() throws(TokenizerError) -> Bool {
    guard let begin = block("raw", at: position), begin.closing != "+" else { return false }
    advance(begin.end - position)
    // The newline after the beginning stays, other than that of other blocks.
    afterTag(sign: begin.closing, isBlock: false)
    // As in Jinja, one that begins where the template ends is no error.
    if position == scalars.count { return true }
    let start = position
    let textLine = line
    while position < scalars.count {
      if isAt("{%"), let end = block("endraw", at: position) {
        let textEnd = strippedEnd(of: start..<position, sign: end.opening, isBlock: true)
        appendText(start..<textEnd, textLine)
        advance(end.end - position)
        afterTag(sign: end.closing, isBlock: true)
        return true
      }
      advance()
    }
    throw failure("a raw block does not end")
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
    if scalar() == "-" || scalar() == "+" { advance() }
    let start = position
    // As in Jinja, one that begins where the template ends is no error.
    if position == scalars.count { return }
    while !isAt("#}") {
      guard position < scalars.count else { throw failure("a comment does not end") }
      advance()
    }
    let sign = position > start ? scalars[position - 1] : nil
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
    var brackets: [String] = []
    while true {
      while let next = scalar(), next.isPythonSpace { advance() }
      guard let next = scalar() else { throw failure("a tag does not end") }
      if brackets.isEmpty {
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
      case .symbol("("): brackets.append(")")
      case .symbol("["): brackets.append("]")
      case .symbol("{"): brackets.append("}")
      case .symbol(let symbol) where symbol == ")" || symbol == "]" || symbol == "}":
        guard let expected = brackets.popLast() else { throw failure("unexpected \"\(symbol)\"") }
        guard symbol == expected else {
          throw failure("\"\(expected)\" was expected, not \"\(symbol)\"")
        }
      default: break
      }
      tokens.append(token)
    }
  }

  private mutating func token(_ next: Unicode.Scalar) throws(TokenizerError) -> Token {
    let start = line
    switch next {
    case "a"..."z", "A"..."Z", "_": return Token(kind: .name(try word()), line: start)
    case "0"..."9": return Token(kind: try number(), line: start)
    case _ where Self.isWord(next): return Token(kind: .name(try word()), line: start)
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
    "/", "%", "~", "|", ".", ",", ":", ";",
  ]

  /// Whether it can be part of a name.
  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII {
      switch scalar {
      case "a"..."z", "A"..."Z", "_", "0"..."9": return true
      default: return false
      }
    }
    return scalar.properties.isIDContinue
  }

  private mutating func word() throws(TokenizerError) -> String {
    let start = position
    guard let first = scalar(), first == "_" || first.properties.isIDStart else {
      throw failure("a name does not begin with a letter")
    }
    while let next = scalar(), Self.isWord(next) { advance() }
    return String(scalars: scalars[start..<position])
  }

  /// Python's numbers: underscores between digits, other bases, fractions and exponents.
  private mutating func number() throws(TokenizerError) -> Token.Kind {
    let start = position
    let afterDot = start > 0 && scalars[start - 1] == "."
    if scalar() == "0", let (radix, digits) = basedDigits() {
      guard let integer = Int(digits, radix: radix) else { throw tooLarge(digits) }
      return .integer(integer)
    }
    var text = digits()
    if !afterDot {
      var isInteger = true
      if scalar() == ".", let next = scalar(1), Self.isDigit(next) {
        isInteger = false
        advance()
        text += "." + digits()
      }
      let exponent = scalar() == "e" || scalar() == "E"
      let sign = scalar(1) == "+" || scalar(1) == "-" ? 1 : 0
      if exponent, let next = scalar(1 + sign), Self.isDigit(next) {
        isInteger = false
        text += scalar(1) == "-" ? "e-" : "e"
        advance(1 + sign)
        text += digits()
      }
      if !isInteger {
        guard let number = Double(text) else { throw tooLarge(text) }
        return .number(number)
      }
    }
    if text.utf8.count > 1, text.utf8.first == UInt8(ascii: "0") {
      // "012" is a 0 and another number, which is never valid.
      guard text.utf8.allSatisfy({ $0 == UInt8(ascii: "0") }) else {
        throw failure("the number \(text.excerpt(40)) begins with 0")
      }
    }
    guard let integer = Int(text) else { throw tooLarge(text) }
    return .integer(integer)
  }

  private func tooLarge(_ text: String) -> TokenizerError {
    failure("the number \(text.excerpt(40)) is too large")
  }

  private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

  /// Steps over digits with single underscores between them.
  private mutating func digits() -> String {
    var text = ""
    while let next = scalar() {
      if Self.isDigit(next) {
        text.unicodeScalars.append(next)
      } else if next != "_" || !(scalar(1).map(Self.isDigit) ?? false) {
        break
      }
      advance()
    }
    return text
  }

  /// Steps over a number such as 0x1F.
  private mutating func basedDigits() -> (radix: Int, digits: String)? {
    let radix: Int
    switch scalar(1) {
    case "x", "X": radix = 16
    case "o", "O": radix = 8
    case "b", "B": radix = 2
    default: return nil
    }
    func isDigit(_ scalar: Unicode.Scalar?) -> Bool {
      guard let scalar, scalar.isASCII, let value = Character(scalar).hexDigitValue else {
        return false
      }
      return value < radix
    }
    guard isDigit(scalar(2)) || (scalar(2) == "_" && isDigit(scalar(3))) else { return nil }
    advance(2)
    var text = ""
    while let next = scalar() {
      if isDigit(next) {
        text.unicodeScalars.append(next)
      } else if next != "_" || !isDigit(scalar(1)) {
        break
      }
      advance()
    }
    return (radix, text)
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
    case "0"..."7":
      var value = next.value - 0x30
      var count = 1
      while count < 3, let digit = scalar(), ("0"..."7").contains(digit) {
        value = value * 8 + digit.value - 0x30
        advance()
        count += 1
      }
      if let scalar = Unicode.Scalar(value) { text.append(scalar) }
    case "N": throw failure("the escape \\N is not supported")
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
