/// Python's methods of strings.
extension TemplateRun {
  mutating func call(
    method name: String,
    ofString string: String,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    try pay(work: string.utf8.count)
    switch name {
    case "format": return .string(try formatted(string, arguments))
    case "format_map":
      let values = try bind(arguments, name, ["mapping"], required: 1, isPositionalOnly: true)
      guard case .dictionary(let dictionary)? = values[0] else {
        throw failure("format_map needs a dictionary")
      }
      var named = TemplateArguments()
      for member in dictionary.members {
        if case .string(let key) = member.key { named.named.append((key, member.value)) }
      }
      return .string(try formatted(string, named))
    case "split", "rsplit":
      let values = try bind(arguments, name, ["sep", "maxsplit"])
      let count = try values[1].map { (value) throws(TokenizerError) in
        try integer(value, "maxsplit")
      }
      return try split(string, values[0] ?? .none, count ?? -1, fromEnd: name == "rsplit")
    case "splitlines":
      let values = try bind(arguments, name, ["keepends"])
      try pay(building: string.utf8.count * Self.elementBytes)
      let keepsEnds = values[0]?.isTrue ?? false
      return .list(PythonText.lines(string, keepsEnds: keepsEnds).map { .string($0) })
    case "strip", "lstrip", "rstrip":
      let values = try bind(arguments, name, ["chars"], isPositionalOnly: true)
      return .string(
        try stripped(string, values[0] ?? .none, left: name != "rstrip", right: name != "lstrip")
      )
    case "startswith", "endswith": return try hasAffix(string, name, arguments)
    case "find", "rfind", "index", "rindex", "count": return try find(string, name, arguments)
    case "replace":
      let names = ["old", "new", "count"]
      let values = try bind(arguments, name, names, required: 2, isPositionalOnly: true)
      let count = try values[2].map { (value) throws(TokenizerError) in
        try integer(value, "the count of replace")
      }
      let old = try self.string(values[0] ?? .none, "what replace replaces")
      let new = try self.string(values[1] ?? .none, "what replace inserts")
      return .string(try replaced(string, old, new, count ?? -1))
    case "join":
      let values = try bind(arguments, name, ["iterable"], required: 1, isPositionalOnly: true)
      var text = ""
      for (index, element) in try elements(of: values[0] ?? .none).enumerated() {
        if index > 0 { try append(string, to: &text) }
        guard case .string(let part) = element else {
          throw failure("join needs strings, not \(element.kind)")
        }
        try append(part, to: &text)
      }
      return .string(text)
    case "center", "ljust", "rjust", "zfill", "expandtabs":
      return try widened(string, name, arguments)
    case "partition", "rpartition", "removeprefix", "removesuffix":
      return try parted(string, name, arguments)
    default: return try converted(string, name, arguments)
    }
  }

  private mutating func converted(
    _ string: String,
    _ name: String,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    _ = try bind(arguments, name, [])
    func all(_ test: (Unicode.Scalar) -> Bool) -> TemplateValue {
      .bool(!string.isEmpty && string.unicodeScalars.allSatisfy(test))
    }
    switch name {
    case "isalnum": return all(PythonText.isAlphanumeric)
    case "isalpha": return all(PythonText.isAlphabetic)
    case "isdecimal": return all(PythonText.isDecimal)
    case "isdigit": return all(PythonText.isDigit)
    case "isnumeric": return all(PythonText.isNumeric)
    case "isspace": return all(\.isPythonSpace)
    case "isascii": return .bool(string.utf8.allSatisfy { $0 < 0x80 })
    case "isprintable": return .bool(string.unicodeScalars.allSatisfy(PythonText.isPrintable))
    case "isidentifier":
      let scalars = string.unicodeScalars
      let isStart = scalars.first.map { $0 == "_" || $0.properties.isXIDStart } ?? false
      return .bool(isStart && scalars.allSatisfy(\.properties.isXIDContinue))
    case "islower": return .bool(PythonText.hasCase(string, upper: false))
    case "isupper": return .bool(PythonText.hasCase(string, upper: true))
    case "istitle": return .bool(PythonText.isTitle(string))
    default: break
    }
    // A character can become three.
    try pay(building: string.utf8.count * 3)
    switch name {
    case "upper": return .string(PythonText.upper(string))
    case "lower": return .string(PythonText.lower(string))
    case "title": return .string(PythonText.title(string))
    case "capitalize": return .string(PythonText.capitalized(string))
    case "swapcase": return .string(PythonText.swappedCase(string))
    case "casefold": return .string(PythonText.caseFolded(string))
    default: throw failure("\"\(name)\" of a string is not supported")
    }
  }

  mutating func stripped(
    _ string: String,
    _ characters: TemplateValue,
    left: Bool = true,
    right: Bool = true
  ) throws(TokenizerError) -> String {
    try pay(building: string.utf8.count)
    let scalars = Array(string.unicodeScalars)[...]
    if characters.isNone {
      return String(scalars: PythonText.stripped(scalars, left: left, right: right))
    }
    let set = Set(try self.string(characters, "what strip removes").unicodeScalars)
    return String(
      scalars: PythonText.stripped(scalars, left: left, right: right) { set.contains($0) }
    )
  }

  mutating func replaced(
    _ string: String,
    _ old: String,
    _ new: String,
    _ count: Int
  ) throws(TokenizerError) -> String {
    let countMax = count < 0 ? Int.max : count
    try pay(work: string.utf8.count)
    try pay(building: old.utf8.count * ByteSearch.costPerByte)
    if old.isEmpty {
      let scalars = string.unicodeScalars
      let places = min(scalars.count + 1, countMax)
      let (added, isOver) = places.multipliedReportingOverflow(by: new.utf8.count)
      try pay(building: isOver ? .max : added)
      try pay(building: string.utf8.count)
      var text = ""
      var place = 0
      for scalar in scalars {
        if place < places { text += new }
        place += 1
        text.unicodeScalars.append(scalar)
      }
      return place < places ? text + new : text
    }
    let bytes = Array(string.utf8)
    let oldCount = old.utf8.count
    let positions = ByteSearch(Array(old.utf8)).all(in: bytes, max: countMax)
    let (added, isOver) = positions.count.multipliedReportingOverflow(by: new.utf8.count)
    try pay(building: isOver ? .max : added)
    try pay(building: bytes.count)
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + added - positions.count * oldCount)
    var start = 0
    for position in positions {
      result += bytes[start..<position]
      result += new.utf8
      start = position + oldCount
    }
    result += bytes[start...]
    return String(decoding: result, as: UTF8.self)
  }

  private mutating func split(
    _ string: String,
    _ separator: TemplateValue,
    _ count: Int,
    fromEnd: Bool
  ) throws(TokenizerError) -> TemplateValue {
    let countMax = count < 0 ? Int.max : count
    try pay(building: string.utf8.count * Self.elementBytes)
    if separator.isNone {
      return .list(words(string, countMax, fromEnd: fromEnd).map { .string($0) })
    }
    let separator = Array(try self.string(separator, "the separator of split").utf8)
    guard !separator.isEmpty else { throw failure("the separator of split is empty") }
    try pay(building: separator.count * ByteSearch.costPerByte)
    let bytes = Array(string.utf8)
    var positions: [Int]
    if fromEnd {
      positions = ByteSearch.allFromEnd(separator, in: bytes, max: countMax).reversed()
    } else {
      positions = ByteSearch(separator).all(in: bytes, max: countMax)
    }
    positions.append(bytes.count)
    var parts: [TemplateValue] = []
    var start = 0
    for position in positions {
      parts.append(.string(String(decoding: bytes[start..<position], as: UTF8.self)))
      start = position + separator.count
    }
    return .list(parts)
  }

  private func words(_ string: String, _ countMax: Int, fromEnd: Bool) -> [String] {
    var scalars = Array(string.unicodeScalars)
    if fromEnd { scalars.reverse() }
    var words: [String] = []
    var rest = PythonText.stripped(scalars[...], right: false)
    func add(_ word: ArraySlice<Unicode.Scalar>) {
      words.append(String(scalars: fromEnd ? Array(word.reversed()) : Array(word)))
    }
    while !rest.isEmpty {
      if words.count == countMax {
        // What is not split keeps the white space at its end.
        add(rest)
        break
      }
      let end = rest.firstIndex { $0.isPythonSpace } ?? rest.endIndex
      add(rest[..<end])
      rest = PythonText.stripped(rest[end...], right: false)
    }
    return fromEnd ? words.reversed() : words
  }

  /// The part of the string that the arguments after the first bound.
  private func bounds(
    _ values: [TemplateValue?],
    _ count: Int
  ) throws(TokenizerError) -> Range<Int>? {
    func bound(_ value: TemplateValue?, _ otherwise: Int) throws(TokenizerError) -> Int {
      guard let value, !value.isNone else { return otherwise }
      let index = try integer(value, "a bound")
      return max(index < 0 ? index + count : index, 0)
    }
    let start = try bound(values[1], 0)
    let end = min(try bound(values[2], count), count)
    return start <= end ? start..<end : nil
  }

  private mutating func hasAffix(
    _ string: String,
    _ name: String,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let names = ["prefix", "start", "end"]
    let values = try bind(arguments, name, names, required: 1, isPositionalOnly: true)
    let affixes: [TemplateValue]
    if case .array(let array)? = values[0], !array.isList {
      affixes = array.elements
    } else {
      affixes = [values[0] ?? .none]
    }
    let scalars = Array(string.unicodeScalars)
    let bounds = try bounds(values, scalars.count)
    var isFound = false
    for affix in affixes where !isFound {
      let affix = Array(try self.string(affix, "what \(name) looks for").unicodeScalars)
      try pay(work: affix.count)
      guard let bounds else { continue }
      let part = scalars[bounds]
      isFound =
        name == "startswith"
        ? part.starts(with: affix) : part.reversed().starts(with: affix.reversed())
    }
    return .bool(isFound)
  }

  private mutating func find(
    _ string: String,
    _ name: String,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let names = ["sub", "start", "end"]
    let values = try bind(arguments, name, names, required: 1, isPositionalOnly: true)
    let part = try self.string(values[0] ?? .none, "what \(name) looks for")
    try pay(building: string.utf8.count * 4)
    try pay(building: part.utf8.count * ByteSearch.costPerByte)
    let scalars = Array(string.unicodeScalars)
    let bounds = try bounds(values, scalars.count)
    let text = bounds.map { Array(String(scalars: scalars[$0]).utf8) }
    let bytes = Array(part.utf8)
    if name == "count" {
      guard let text, let bounds else { return .integer(0) }
      if bytes.isEmpty { return .integer(bounds.count + 1) }
      return .integer(ByteSearch(bytes).all(in: text).count)
    }
    var position: Int?
    if let text {
      let isLast = name.hasPrefix("r")
      position =
        isLast
        ? ByteSearch.allFromEnd(bytes, in: text, max: 1).first : ByteSearch(bytes).first(in: text)
    }
    guard let position, let text, let bounds else {
      guard name.hasSuffix("find") else { throw failure("\(name): the text is not there") }
      return .integer(-1)
    }
    let before = text[..<position].count { $0 & 0xC0 != 0x80 }
    return .integer(bounds.lowerBound + before)
  }

  private mutating func widened(
    _ string: String,
    _ name: String,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    if name == "expandtabs" { return try expanded(string, arguments) }
    let names = name == "zfill" ? ["width"] : ["width", "fillchar"]
    let values = try bind(arguments, name, names, required: 1, isPositionalOnly: true)
    let width = try integer(values[0] ?? .none, "the width of \(name)")
    var fill = name == "zfill" ? "0" : " "
    if name != "zfill", let value = values[1] {
      fill = try self.string(value, "the filler of \(name)")
      guard fill.unicodeScalars.count == 1 else { throw failure("a filler must be one character") }
    }
    let count = string.unicodeScalars.count
    let missing = width > count ? width - count : 0
    guard missing > 0 else { return .string(string) }
    let (bytes, isOver) = missing.multipliedReportingOverflow(by: 4)
    try pay(building: isOver ? .max : bytes)
    try pay(building: string.utf8.count)
    func filler(_ count: Int) -> String { String(repeating: fill, count: count) }
    switch name {
    case "ljust": return .string(string + filler(missing))
    case "rjust": return .string(filler(missing) + string)
    case "zfill":
      guard let first = string.unicodeScalars.first, first == "+" || first == "-" else {
        return .string(filler(missing) + string)
      }
      return .string(String(first) + filler(missing) + String(string.unicodeScalars.dropFirst()))
    default:
      let left = missing / 2 + (missing & width & 1)
      return .string(filler(left) + string + filler(missing - left))
    }
  }

  private mutating func expanded(
    _ string: String,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let values = try bind(arguments, "expandtabs", ["tabsize"])
    let size =
      try values[0].map { (value) throws(TokenizerError) in
        try integer(value, "the size of tabs")
      } ?? 8
    var text = ""
    var column = 0
    try pay(building: string.utf8.count)
    for scalar in string.unicodeScalars {
      if scalar == "\t" {
        guard size > 0 else { continue }
        let count = size - column % size
        try pay(building: count)
        text += String(repeating: " ", count: count)
        column += count
      } else {
        text.unicodeScalars.append(scalar)
        column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
      }
    }
    return .string(text)
  }

  private mutating func parted(
    _ string: String,
    _ name: String,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let values = try bind(arguments, name, ["part"], required: 1, isPositionalOnly: true)
    let part = Array(try self.string(values[0] ?? .none, "what \(name) looks for").utf8)
    let bytes = Array(string.utf8)
    try pay(building: bytes.count + part.count * ByteSearch.costPerByte)
    func text(_ bytes: ArraySlice<UInt8>) -> TemplateValue {
      .string(String(decoding: bytes, as: UTF8.self))
    }
    switch name {
    case "removeprefix":
      return bytes.starts(with: part) ? text(bytes[part.count...]) : .string(string)
    case "removesuffix":
      let isSuffix = bytes.reversed().starts(with: part.reversed())
      return isSuffix ? text(bytes[..<(bytes.count - part.count)]) : .string(string)
    default: break
    }
    guard !part.isEmpty else { throw failure("the separator of \(name) is empty") }
    let isLast = name == "rpartition"
    let position =
      isLast
      ? ByteSearch.allFromEnd(part, in: bytes, max: 1).first : ByteSearch(part).first(in: bytes)
    guard let position else {
      let empty = TemplateValue.string("")
      return .tuple(isLast ? [empty, empty, .string(string)] : [.string(string), empty, empty])
    }
    return .tuple([
      text(bytes[..<position]), text(part[...]), text(bytes[(position + part.count)...]),
    ])
  }
}
