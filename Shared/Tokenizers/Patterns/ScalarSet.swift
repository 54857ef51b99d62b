/// A set of scalars that a pattern names: categories and ranges, or all but these.
struct ScalarSet: Sendable, Hashable {
  var categories: ScalarCategories = []
  var ranges: [ClosedRange<UInt32>] = []
  var isNegated = false

  /// Where membership by ranges changes, in order: in, out, in, ….
  var bounds: [UInt32] {
    var bounds: [UInt32] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = bounds.last, last >= range.lowerBound {
        bounds[bounds.count - 1] = max(last, range.upperBound + 1)
      } else {
        bounds += [range.lowerBound, range.upperBound + 1]
      }
    }
    return bounds
  }
}

extension ScalarSet {
  /// Reads a set in the form patterns have it: `\p{N}`, `\d`, `\S`, `.`-less literals, `[…]` of these
  /// and of ranges; nil, with `cursor` anywhere, for anything else.
  init?(_ pattern: [Unicode.Scalar], _ cursor: inout Int) {
    guard cursor < pattern.count else { return nil }
    guard pattern[cursor] == "[" else {
      guard !"^$.|?*+(){".unicodeScalars.contains(pattern[cursor]) else { return nil }
      guard let item = Item(pattern, &cursor) else { return nil }
      self.init(item)
      return
    }
    cursor += 1
    self.init()
    if cursor < pattern.count, pattern[cursor] == "^" {
      isNegated = true
      cursor += 1
    }
    var isEmpty = true
    while cursor < pattern.count, pattern[cursor] != "]" {
      guard pattern[cursor] != "[", !Self.isOperator(pattern, cursor),
        let item = Item(pattern, &cursor)
      else { return nil }
      isEmpty = false
      switch item {
      case .categories(let members):
        // Not the beginning of a range, which is an error.
        guard cursor + 1 >= pattern.count || pattern[cursor] != "-" || pattern[cursor + 1] == "]"
        else { return nil }
        categories.formUnion(members)
      case .except: return nil
      case .scalar(let first):
        var last = first
        if cursor + 1 < pattern.count, pattern[cursor] == "-", pattern[cursor + 1] != "]" {
          cursor += 1
          guard pattern[cursor] != "[", case .scalar(let end)? = Item(pattern, &cursor),
            end >= first
          else { return nil }
          last = end
        }
        ranges.append(first...last)
      }
    }
    guard cursor < pattern.count, !isEmpty else { return nil }
    cursor += 1
  }

  private init(_ item: Item) {
    self.init()
    switch item {
    case .categories(let members): categories = members
    case .except(let members): (categories, isNegated) = (members, true)
    case .scalar(let scalar): ranges = [scalar...scalar]
    }
  }

  /// Whether Oniguruma would take the characters at `cursor` for more than themselves in a set.
  private static func isOperator(_ pattern: [Unicode.Scalar], _ cursor: Int) -> Bool {
    pattern[cursor] == "&" && cursor + 1 < pattern.count && pattern[cursor + 1] == "&"
  }

  /// One member of a set.
  private enum Item {
    case scalar(UInt32)
    case categories(ScalarCategories)
    case except(ScalarCategories)

    init?(_ pattern: [Unicode.Scalar], _ cursor: inout Int) {
      let first = pattern[cursor]
      cursor += 1
      guard first == "\\" else {
        self = .scalar(first.value)
        return
      }
      guard cursor < pattern.count else { return nil }
      let escaped = pattern[cursor]
      cursor += 1
      switch escaped {
      case "n": self = .scalar(0x0A)
      case "r": self = .scalar(0x0D)
      case "t": self = .scalar(0x09)
      case "d": self = .categories(.digit)
      case "s": self = .categories(.whitespace)
      case "w": self = .categories(.word)
      case "D": self = .except(.digit)
      case "S": self = .except(.whitespace)
      case "W": self = .except(.word)
      case "p":
        guard cursor < pattern.count, pattern[cursor] == "{",
          let close = pattern[cursor...].firstIndex(of: "}"),
          let members = Self.names[String(scalars: pattern[cursor + 1..<close])]
        else { return nil }
        cursor = close + 1
        self = .categories(members)
      case _ where escaped.isASCII && !escaped.properties.isAlphabetic && escaped.value > 0x39:
        self = .scalar(escaped.value)
      case _ where escaped.isASCII && escaped.value < 0x30: self = .scalar(escaped.value)
      default: return nil
      }
    }

    private static let names: [String: ScalarCategories] = [
      "L": .letters, "Ll": .lower, "M": .mark, "N": .numbers, "Nd": .digit, "P": .punctuation,
      "S": .symbol, "Han": .han,
    ]
  }
}
