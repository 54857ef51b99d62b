extension PatternTranslation {
  /// What an escape stands for.
  enum Escape {
    /// A set: what is between the brackets, and whether they negate.
    case content(String, isNegated: Bool)
    case scalar(UInt32)
    /// Anything but a set or a scalar, in PCRE2's form.
    case assertion(String)
    case unknown(Unicode.Scalar)
  }

  /// White_Space, which is `\s`; PCRE2's has U+180E too.
  private static let whitespace =
    #"\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"#
  /// What `\w` is; PCRE2's has all numbers, and neither marks nor connectors other than `_`.
  private static let word = #"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\xb2\xb3\xb9\xbc-\xbe"#
  private static let hexadecimal = "0-9A-Fa-f"

  /// Reads the escape at the cursor.
  mutating func escaped(inSet: Bool) throws(TokenizerError) -> Escape {
    guard let scalar = peek(1) else { throw failure("end pattern at escape") }
    cursor += 2
    switch scalar {
    case "s": return .content(Self.whitespace, isNegated: false)
    case "S": return .content(Self.whitespace, isNegated: true)
    case "w": return .content(Self.word, isNegated: false)
    case "W": return .content(Self.word, isNegated: true)
    case "d": return .content(#"\p{Nd}"#, isNegated: false)
    case "D": return .content(#"\p{Nd}"#, isNegated: true)
    case "h", "H": return .content(Self.hexadecimal, isNegated: scalar == "H")
    case "p", "P":
      guard peek() == "{" else { return .scalar(scalar.value) }
      return try property(isNegated: scalar == "P")
    case "n": return .scalar(0x0A)
    case "r": return .scalar(0x0D)
    case "t": return .scalar(0x09)
    case "f": return .scalar(0x0C)
    case "v": return .scalar(0x0B)
    case "a": return .scalar(0x07)
    case "e": return .scalar(0x1B)
    case "x":
      if peek() == "{", let close = source[cursor...].firstIndex(of: "}") {
        let digits = source[cursor + 1..<close]
        cursor = close + 1
        return .scalar(try hexadecimal(digits))
      }
      var count = 0
      while count < 2, peek(count)?.properties.isASCIIHexDigit == true { count += 1 }
      cursor += count
      return .scalar(try hexadecimal(source[cursor - count..<cursor]))
    case "u":
      guard cursor + 4 <= source.count else { throw failure("too short escape sequence") }
      cursor += 4
      return .scalar(try hexadecimal(source[cursor - 4..<cursor]))
    case _ where inSet && scalar == "b": return .scalar(0x08)
    case _ where !inSet && "bBAzZGKRXON123456789kg".unicodeScalars.contains(scalar):
      return assertion(scalar)
    case "c", "C", "M", "y", "Y", "0"..."9": return .unknown(scalar)
    default: return .scalar(scalar.value)
    }
  }

  private func hexadecimal(_ digits: ArraySlice<Unicode.Scalar>) throws(TokenizerError) -> UInt32 {
    guard let value = UInt32(String(scalars: digits), radix: 16), Unicode.Scalar(value) != nil
    else { throw failure("invalid code point value") }
    return value
  }

  private mutating func assertion(_ scalar: Unicode.Scalar) -> Escape {
    let w = Self.word
    switch scalar {
    case "b": return .assertion("(?:(?<=[\(w)])(?![\(w)])|(?<![\(w)])(?=[\(w)]))")
    case "B": return .assertion("(?:(?<=[\(w)])(?=[\(w)])|(?<![\(w)])(?![\(w)]))")
    case "O": return .assertion("(?s:.)")
    case "N": return .assertion(#"[^\n]"#)
    // Look-aheads show that `\K` is no verb's name or the like, but as PCRE2 has them.
    case "1"..."9":
      var text = "\\\(scalar)"
      while let digit = peek(), ("0"..."9").contains(digit) {
        text.unicodeScalars.append(digit)
        cursor += 1
      }
      return .assertion("(?:\(text))")
    case "k", "g":
      guard peek() == "<", let close = source[cursor...].firstIndex(of: ">") else {
        return .unknown(scalar)
      }
      let name = String(scalars: source[cursor...close])
      cursor = close + 1
      return .assertion("\\\(scalar)\(name)")
    default: return .assertion("\\\(scalar)")
    }
  }

  /// `{Name}` or `{^Name}` of a property.
  private mutating func property(isNegated: Bool) throws(TokenizerError) -> Escape {
    let start = cursor
    guard let close = source[cursor...].firstIndex(of: "}") else {
      throw failure("invalid character property name")
    }
    var name = String(scalars: source[cursor + 1..<close])
    var isNegated = isNegated
    if name.hasPrefix("^") {
      name.removeFirst()
      isNegated.toggle()
    }
    cursor = close + 1
    let folded = name.lowercased().filter { $0 != "_" && $0 != "-" && $0 != " " }
    guard !folded.isEmpty, folded.utf8.allSatisfy({ (0x61...0x7A).contains($0) }) else {
      throw failure("invalid character property name {\(name)}", at: start)
    }
    if let content = Self.properties[folded] { return .content(content, isNegated: isNegated) }
    if folded.utf8.count <= 2 {
      return .content(
        "\\p{\(folded.prefix(1).uppercased())\(folded.dropFirst())}",
        isNegated: isNegated
      )
    }
    let isBinary = Self.binaryProperties.contains(folded) || folded.hasPrefix("emoji")
    return .content(isBinary ? "\\p{\(folded)}" : "\\p{sc:\(folded)}", isNegated: isNegated)
  }

  private static let binaryProperties: Set<String> = [
    "alphabetic", "asciihexdigit", "caseignorable", "cased", "dash", "diacritic",
    "extendedpictographic", "extender", "hexdigit", "idcontinue", "idstart", "ideographic",
    "lowercase", "math", "quotationmark", "regionalindicator", "unifiedideograph", "uppercase",
    "xidcontinue", "xidstart",
  ]

  private static let properties: [String: String] = [
    "letter": #"\p{L}"#, "uppercaseletter": #"\p{Lu}"#, "lowercaseletter": #"\p{Ll}"#,
    "titlecaseletter": #"\p{Lt}"#, "casedletter": #"\p{Lu}\p{Ll}\p{Lt}"#,
    "lc": #"\p{Lu}\p{Ll}\p{Lt}"#, "modifierletter": #"\p{Lm}"#, "otherletter": #"\p{Lo}"#,
    "mark": #"\p{M}"#, "combiningmark": #"\p{M}"#, "nonspacingmark": #"\p{Mn}"#,
    "spacingmark": #"\p{Mc}"#, "enclosingmark": #"\p{Me}"#, "number": #"\p{N}"#,
    "decimalnumber": #"\p{Nd}"#, "letternumber": #"\p{Nl}"#, "othernumber": #"\p{No}"#,
    "punctuation": #"\p{P}"#, "punct": #"\p{P}"#, "symbol": #"\p{S}"#, "mathsymbol": #"\p{Sm}"#,
    "currencysymbol": #"\p{Sc}"#, "modifiersymbol": #"\p{Sk}"#, "othersymbol": #"\p{So}"#,
    "separator": #"\p{Z}"#, "spaceseparator": #"\p{Zs}"#, "lineseparator": #"\p{Zl}"#,
    "paragraphseparator": #"\p{Zp}"#, "other": #"\p{C}"#, "control": #"\p{Cc}"#,
    "cntrl": #"\p{Cc}"#, "format": #"\p{Cf}"#, "surrogate": #"\p{Cs}"#, "privateuse": #"\p{Co}"#,
    "unassigned": #"\p{Cn}"#, "any": #"\x{0}-\x{10ffff}"#, "alpha": #"\p{Alphabetic}"#,
    "alnum": #"\p{Alphabetic}\p{Nd}"#, "digit": #"\p{Nd}"#, "lower": #"\p{Lowercase}"#,
    "upper": #"\p{Uppercase}"#, "blank": #"\p{Zs}\t"#, "space": whitespace,
    "whitespace": whitespace, "word": word, "xdigit": hexadecimal, "graph": "[:graph:]",
    "print": "[:print:]",
  ]

  /// Reads the set at the cursor; the result matches one scalar.
  mutating func set(depth: Int) throws(TokenizerError) -> String {
    let start = cursor
    guard depth < PatternLimits.nestingMax else {
      throw failure("sets nested deeper than \(PatternLimits.nestingMax)")
    }
    cursor += 1
    var isNegated = false
    if peek() == "^" {
      isNegated = true
      cursor += 1
    }
    // Unions that are intersected: what is between brackets, and sets beside it.
    var unions: [(content: String, sets: [String])] = [("", [])]
    var isFirst = true
    while let scalar = peek(), scalar != "]" || isFirst {
      isFirst = false
      let last = unions.count - 1
      if scalar == "[" {
        if let name = posixName() {
          unions[last].content += name
        } else {
          unions[last].sets.append(try set(depth: depth + 1))
        }
      } else if scalar == "&", peek(1) == "&" {
        cursor += 2
        unions.append(("", []))
      } else {
        try member(&unions[last])
      }
    }
    guard peek() == "]" else { throw failure("premature end of char-class", at: start) }
    cursor += 1
    var texts: [String] = []
    for union in unions {
      guard !union.content.isEmpty || !union.sets.isEmpty else {
        throw failure("empty char-class", at: start)
      }
      if unions.count == 1, union.sets.isEmpty {
        return "[\(isNegated ? "^" : "")\(union.content)]"
      }
      let parts = (union.content.isEmpty ? [] : ["[\(union.content)]"]) + union.sets
      texts.append(parts.count == 1 ? parts[0] : "(?:\(parts.joined(separator: "|")))")
    }
    let conditions = texts.dropFirst().map { "(?=\($0))" }.joined()
    let all = "(?:\(conditions)\(texts[0]))"
    return isNegated ? "(?:(?!\(all))(?s:.))" : all
  }

  /// Reads a scalar, a range or an escape in a set.
  private mutating func member(
    _ union: inout (content: String, sets: [String])
  ) throws(TokenizerError) {
    guard let first = try setScalar(&union) else { return }
    guard peek() == "-", let end = peek(1), end != "]" else {
      union.content += Self.literal(first)
      return
    }
    cursor += 1
    var ignored: (content: String, sets: [String]) = ("", [])
    guard end != "[", let last = try setScalar(&ignored) else {
      throw failure("char-class value at end of range")
    }
    guard last >= first else { throw failure("empty range in char class") }
    union.content += "\(Self.literal(first))-\(Self.literal(last))"
  }

  /// Reads a scalar, or adds the set that an escape stands for.
  private mutating func setScalar(
    _ union: inout (content: String, sets: [String])
  ) throws(TokenizerError) -> UInt32? {
    guard peek() == "\\" else {
      cursor += 1
      return source[cursor - 1].value
    }
    let position = cursor
    switch try escaped(inSet: true) {
    case .scalar(let scalar): return scalar
    case .content(let content, let isNegated):
      if isNegated { union.sets.append("[^\(content)]") } else { union.content += content }
      if peek() == "-", let end = peek(1), end != "]" {
        throw failure("unmatched range specifier in char-class")
      }
      return nil
    case .assertion, .unknown:
      throw failure("escape that is not supported in a set", at: position)
    }
  }

  /// `[:name:]` at the cursor as it is spelt between brackets.
  private mutating func posixName() -> String? {
    let rest = source[cursor...]
    guard rest.starts(with: "[:".unicodeScalars), let colon = rest.dropFirst(2).firstIndex(of: ":"),
      colon + 1 < source.count, source[colon + 1] == "]"
    else { return nil }
    let name = String(scalars: source[cursor + 2..<colon])
    let content = name == "punct" ? "[:punct:]" : Self.properties[name]
    guard let content else { return nil }
    cursor = colon + 2
    return content
  }
}
