/// Filters of lists.
extension TemplateRun {
  /// What `map`, `sort` and others look at of each element: `a.b.0`.
  struct Path {
    var parts: [TemplateValue] = []
    var fallback: TemplateValue?
    var ignoresCase = false
  }

  func path(_ attribute: TemplateValue) throws(TokenizerError) -> Path {
    switch attribute {
    case .none: return Path()
    case .string(let text):
      let parts = text.utf8.split(
        separator: UInt8(ascii: "."),
        omittingEmptySubsequences: false
      )
      return Path(
        parts: parts.map { part in
          let isNumber = !part.isEmpty && part.allSatisfy { (0x30...0x39).contains($0) }
          let name = String(decoding: Array(part), as: UTF8.self)
          return isNumber ? Int(name).map(TemplateValue.integer) ?? .string(name) : .string(name)
        }
      )
    default: return Path(parts: [attribute])
    }
  }

  mutating func look(
    at value: TemplateValue,
    _ path: Path
  ) throws(TokenizerError) -> TemplateValue {
    var result = value
    for part in path.parts {
      try pay(work: TemplateLimits.stepWork)
      result = try item(part, of: result)
      if let fallback = path.fallback, result.isUndefined { result = fallback }
    }
    if path.ignoresCase, case .string(let text) = result {
      try pay(building: text.utf8.count * 3)
      return .string(PythonText.lower(text))
    }
    return result
  }

  // MARK: Filters that go through a sequence when they are gone through

  mutating func apply(
    lazyFilter filter: TemplateFilter,
    to value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    switch filter {
    case .map: return try map(value, arguments)
    case .select, .reject, .selectattr, .rejectattr: return try select(filter, value, arguments)
    case .items:
      _ = try bind(arguments, "items", [])
      switch value {
      case .undefined: return .iterator(TemplateIterator([], depth: 1))
      case .dictionary(let dictionary):
        let items = TemplateValue.view(TemplateView(kind: .items, dictionary: dictionary))
        return .iterator(try iterator(over: items))
      default: return failing("only a dictionary has items, not \(value.kind)")
      }
    case .reverse:
      _ = try bind(arguments, "reverse", [])
      if case .string(let string) = value {
        try pay(building: string.utf8.count)
        return .string(String(scalars: string.unicodeScalars.reversed()))
      }
      let elements = try elements(of: value)
      if case .iterator = value { return .list(elements.reversed()) }
      return .iterator(TemplateIterator(elements.reversed(), depth: value.depth))
    case .unique:
      let values = try bind(arguments, "unique", ["case_sensitive", "attribute"])
      var path = try path(values[1] ?? .none)
      path.ignoresCase = !(values[0]?.isTrue ?? false)
      return try unique(value, path, arguments)
    default: return try cut(filter, value, arguments)
    }
  }

  /// An iterator that fails when it is gone through.
  private func failing(_ cause: String) -> TemplateValue {
    .iterator(
      TemplateIterator(depth: 1) { (run: inout TemplateRun) throws(TokenizerError) in
        throw run.failure(cause)
      }
    )
  }

  /// An iterator over `value` as generators make it: what is wrong with it shows when it is used.
  private mutating func lazily(
    _ value: TemplateValue,
    _ arguments: TemplateArguments,
    _ step: @escaping (inout TemplateRun, TemplateIterator) throws(TokenizerError) -> TemplateValue?
  ) throws(TokenizerError) -> TemplateValue {
    // It keeps its arguments too, which may be such iterators.
    var depth = value.depth
    for argument in arguments.positional { depth = max(depth, argument.depth) }
    for argument in arguments.named { depth = max(depth, argument.value.depth) }
    try check(depth: depth + 1)
    try pay(building: Self.objectBytes)
    var source: TemplateIterator?
    if case .iterator(let iterator) = value { source = iterator }
    let result = TemplateIterator(depth: depth + 1) {
      (run: inout TemplateRun) throws(TokenizerError) in
      try run.enter()
      defer { run.leave() }
      if let source { return try step(&run, source) }
      let opened = try run.iterator(over: value)
      source = opened
      return try step(&run, opened)
    }
    return .iterator(result)
  }

  private mutating func map(
    _ value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    guard value.isTrue else { return .iterator(TemplateIterator([], depth: 1)) }
    if arguments.positional.isEmpty, arguments.named.contains(where: { $0.name == "attribute" }) {
      let values = try bind(arguments, "map", ["attribute", "default"])
      var path = try path(values[0] ?? .none)
      path.fallback = values[1].flatMap { $0.isNone ? nil : $0 }
      return try lazily(value, arguments) { [path] (run, source) throws(TokenizerError) in
        guard let element = try source.next(&run) else { return nil }
        return try run.look(at: element, path)
      }
    }
    guard let first = arguments.positional.first else {
      return failing("map needs the name of a filter")
    }
    guard case .string(let name) = first, let filter = TemplateFilter(rawValue: name) else {
      return failing("map: no such filter")
    }
    var rest = arguments
    rest.positional.removeFirst()
    return try lazily(value, arguments) { [rest] (run, source) throws(TokenizerError) in
      try run.pay(work: TemplateLimits.stepWork)
      guard let element = try source.next(&run) else { return nil }
      try run.enter()
      defer { run.leave() }
      return try run.apply(filter, to: element, rest)
    }
  }

  private mutating func select(
    _ filter: TemplateFilter,
    _ value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    guard value.isTrue else { return .iterator(TemplateIterator([], depth: 1)) }
    var rest = arguments
    var path = Path()
    if filter == .selectattr || filter == .rejectattr {
      guard !rest.positional.isEmpty else { return failing("an attribute is missing") }
      path = try self.path(rest.positional.removeFirst())
    }
    var test: TemplateTest?
    if !rest.positional.isEmpty {
      guard case .string(let name) = rest.positional.removeFirst(),
        let found = TemplateTest(rawValue: name)
      else { return failing("no such test") }
      test = found
    }
    let isWanted = filter == .select || filter == .selectattr
    return try lazily(value, arguments) { [rest, path, test] (run, source) throws(TokenizerError) in
      while let element = try source.next(&run) {
        try run.pay(work: TemplateLimits.stepWork)
        let looked = try run.look(at: element, path)
        let isTrue = if let test { try run.test(looked, test, rest) } else { looked.isTrue }
        if isTrue == isWanted { return element }
      }
      return nil
    }
  }

  private mutating func unique(
    _ value: TemplateValue,
    _ path: Path,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    var seen: Set<TemplateKey> = []
    return try lazily(value, arguments) { (run, source) throws(TokenizerError) in
      while let element = try source.next(&run) {
        try run.pay(building: Self.elementBytes)
        let key = try run.key(try run.look(at: element, path))
        if seen.insert(key).inserted { return element }
      }
      return nil
    }
  }

  /// `batch` and `slice`.
  private mutating func cut(
    _ filter: TemplateFilter,
    _ value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let isBatch = filter == .batch
    let names = [isBatch ? "linecount" : "slices", "fill_with"]
    let values = try bind(arguments, filter.rawValue, names, required: 1)
    let number = values[0] ?? .none
    let filler = values[1].flatMap { $0.isNone ? nil : $0 }
    var parts: TemplateIterator?
    return try lazily(value, arguments) { (run, source) throws(TokenizerError) in
      if let parts { return try parts.next(&run) }
      var elements: [TemplateValue] = []
      while let element = try source.next(&run) {
        try run.pay(building: Self.elementBytes)
        elements.append(element)
      }
      let lists =
        isBatch
        ? try run.batches(elements, number, filler) : try run.slices(elements, number, filler)
      let iterator = TemplateIterator(lists, depth: 1)
      parts = iterator
      return try iterator.next(&run)
    }
  }

  private mutating func batches(
    _ elements: [TemplateValue],
    _ count: TemplateValue,
    _ filler: TemplateValue?
  ) throws(TokenizerError) -> [TemplateValue] {
    if elements.isEmpty { return [] }
    // Compared with Python's ==: what is no count never ends a batch.
    let size = count.numeric.flatMap { Int(exactly: $0) } ?? -1
    var lists: [TemplateValue] = []
    var current: [TemplateValue] = []
    for element in elements {
      if current.count == size {
        lists.append(try array(current))
        current = []
      }
      current.append(element)
    }
    if let filler {
      let wanted = try integer(count, "the size of a batch")
      if current.count < wanted {
        let missing = wanted - current.count
        let (bytes, isOver) = missing.multipliedReportingOverflow(by: Self.elementBytes)
        try pay(building: isOver ? .max : bytes)
        current += [TemplateValue](repeating: filler, count: missing)
      }
    }
    lists.append(try array(current))
    return lists
  }

  private mutating func slices(
    _ elements: [TemplateValue],
    _ count: TemplateValue,
    _ filler: TemplateValue?
  ) throws(TokenizerError) -> [TemplateValue] {
    let count = try integer(count, "the number of slices")
    guard count != 0 else { throw failure("division by zero") }
    if count < 0 { return [] }
    let (bytes, isOver) = count.multipliedReportingOverflow(by: Self.elementBytes)
    try pay(building: isOver ? .max : bytes)
    let (size, extra) = elements.count.quotientAndRemainder(dividingBy: count)
    var lists: [TemplateValue] = []
    var start = 0
    for index in 0..<count {
      let end = start + size + (index < extra ? 1 : 0)
      var part = Array(elements[start..<end])
      if let filler, index >= extra { part.append(filler) }
      lists.append(try array(part))
      start = end
    }
    return lists
  }

  // MARK: Filters that go through a sequence at once

  mutating func apply(
    sequenceFilter filter: TemplateFilter,
    to value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    switch filter {
    case .join:
      let values = try bind(arguments, "join", ["d", "attribute"])
      let separator = try text(of: values[0] ?? .string(""))
      let path = try path(values[1] ?? .none)
      var text = ""
      for (index, element) in try elements(of: value).enumerated() {
        if index > 0 { try append(separator, to: &text) }
        try append(try self.text(of: try look(at: element, path)), to: &text)
      }
      return .string(text)
    case .sum:
      let values = try bind(arguments, "sum", ["attribute", "start"])
      let path = try path(values[0] ?? .none)
      var total = values[1] ?? .integer(0)
      if case .string = total { throw failure("sum cannot add strings") }
      for element in try elements(of: value) {
        total = try arithmetic(.add, total, try look(at: element, path))
      }
      return total
    case .min, .max:
      let values = try bind(arguments, filter.rawValue, ["case_sensitive", "attribute"])
      var path = try path(values[1] ?? .none)
      path.ignoresCase = !(values[0]?.isTrue ?? false)
      return try extreme(value, path, isMax: filter == .max)
    case .sort: return try sort(value, arguments)
    case .dictsort: return try sortMembers(value, arguments)
    default: return try group(value, arguments)
    }
  }

  private mutating func extreme(
    _ value: TemplateValue,
    _ path: Path,
    isMax: Bool
  ) throws(TokenizerError) -> TemplateValue {
    let elements = try elements(of: value)
    guard var best = elements.first else {
      return .undefined(.other("no aggregated item, the sequence was empty"))
    }
    var bestKey = try look(at: best, path)
    for element in elements.dropFirst() {
      let key = try look(at: element, path)
      if try isMax ? precedes(bestKey, key) : precedes(key, bestKey) {
        (best, bestKey) = (element, key)
      }
    }
    return best
  }

  private mutating func sort(
    _ elements: [TemplateValue],
    isReversed: Bool,
    _ key: (inout TemplateRun, TemplateValue) throws(TokenizerError) -> TemplateValue
  ) throws(TokenizerError) -> [(key: TemplateValue, value: TemplateValue)] {
    var keyed: [(key: TemplateValue, value: TemplateValue)] = []
    for element in elements { keyed.append((try key(&self, element), element)) }
    // Reversed as Python does it: equal elements keep their order.
    return try sorted(keyed) { (run, left, right) throws(TokenizerError) in
      isReversed ? try run.precedes(right.key, left.key) : try run.precedes(left.key, right.key)
    }
  }

  private mutating func sort(
    _ value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let values = try bind(arguments, "sort", ["reverse", "case_sensitive", "attribute"])
    var paths: [Path] = []
    if case .string(let text)? = values[2] {
      for part in text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
        paths.append(try path(.string(String(decoding: Array(part), as: UTF8.self))))
      }
    } else {
      paths = [try path(values[2] ?? .none)]
    }
    for index in paths.indices { paths[index].ignoresCase = !(values[1]?.isTrue ?? false) }
    let elements = try elements(of: value)
    let isReversed = values[0]?.isTrue ?? false
    let result = try sort(elements, isReversed: isReversed) {
      [paths] (run, element) throws(TokenizerError) in
      var keys: [TemplateValue] = []
      for path in paths { keys.append(try run.look(at: element, path)) }
      return .list(keys)
    }
    return .list(result.map(\.value))
  }

  private mutating func sortMembers(
    _ value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let values = try bind(arguments, "dictsort", ["case_sensitive", "by", "reverse"])
    var position = 0
    if let by = values[1] {
      guard case .string(let name) = by, name == "key" || name == "value" else {
        throw failure("dictsort sorts by key or by value")
      }
      position = name == "key" ? 0 : 1
    }
    if case .undefined(let why) = value { throw failure(why.cause) }
    guard case .dictionary(let dictionary) = value else {
      throw failure("only a dictionary can be sorted by dictsort, not \(value.kind)")
    }
    let path = Path(parts: [.integer(position)], ignoresCase: !(values[0]?.isTrue ?? false))
    let items = TemplateView(kind: .items, dictionary: dictionary).elements
    try pay(building: items.count * Self.elementBytes * 4)
    let isReversed = values[2]?.isTrue ?? false
    let result = try sort(items, isReversed: isReversed) { (run, item) throws(TokenizerError) in
      try run.look(at: item, path)
    }
    return .list(result.map(\.value))
  }

  private mutating func group(
    _ value: TemplateValue,
    _ arguments: TemplateArguments
  ) throws(TokenizerError) -> TemplateValue {
    let names = ["attribute", "default", "case_sensitive"]
    let values = try bind(arguments, "groupby", names, required: 1)
    var path = try path(values[0] ?? .none)
    path.fallback = values[1].flatMap { $0.isNone ? nil : $0 }
    let plain = path
    path.ignoresCase = !(values[2]?.isTrue ?? false)
    let sorted = try sort(try elements(of: value), isReversed: false) {
      [path] (run, element) throws(TokenizerError) in try run.look(at: element, path)
    }
    var groups: [TemplateValue] = []
    var start = 0
    for index in sorted.indices {
      let isLast = index + 1 == sorted.count
      if !isLast, try areEqual(sorted[index].key, sorted[index + 1].key) { continue }
      let members = sorted[start...index].map(\.value)
      try pay(building: (members.count + 2) * Self.elementBytes)
      let name = try look(at: members[0], plain)
      groups.append(try array([name, try array(members)], .group))
      start = index + 1
    }
    return try array(groups)
  }
}
