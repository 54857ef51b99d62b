/// The headers of one part of form data: of interest is its `Content-Disposition`.
struct MultipartHead: Equatable {
  var name: String
  var filename: String?

  /// Reads headers, each line after its line break.
  init(_ bytes: ArraySlice<UInt8>) throws(MultipartError) {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw MultipartError(message: "the headers of a part are not UTF-8")
    }
    guard !bytes.contains(0) else {
      throw MultipartError(message: "the headers of a part contain a NUL character")
    }
    var name: String?
    // Split by bytes: to Swift, CR LF is one character.
    for line in text.utf8.split(separator: 10) {
      guard let colon = line.firstIndex(of: 58) else { continue }
      guard Self.isSame(line[..<colon], "content-disposition") else { continue }
      var parameters = HeaderParameters(line[line.index(after: colon)...])
      guard Self.isSame(parameters.value, "form-data") else {
        throw MultipartError(message: "the Content-Disposition of a part is not form-data")
      }
      while let (key, value) = parameters.next() {
        if Self.isSame(key[...], "name") { name = value }
        if Self.isSame(key[...], "filename") { filename = value }
      }
    }
    guard let name else { throw MultipartError(message: "a part has no name") }
    self.name = name
  }

  /// Whether bytes are `word` but for case and blanks around.
  fileprivate static func isSame(_ bytes: some Sequence<UInt8>, _ word: String) -> Bool {
    let trimmed = bytes.filter { $0 != 32 && $0 != 9 && $0 != 13 }
    return trimmed.map { (65...90).contains($0) ? $0 + 32 : $0 }.elementsEqual(word.utf8)
  }
}

/// The value of a header and the parameters behind it: `form-data; name="file"; filename="a.jsonl"`.
struct HeaderParameters {
  /// What stands before the first semicolon.
  let value: [UInt8]
  private var rest: ArraySlice<UInt8>

  /// Reads a header's value.
  init(_ bytes: some Sequence<UInt8>) {
    let all = Array(bytes)
    let end = all.firstIndex(of: 59) ?? all.endIndex
    value = Array(all[..<end])
    rest = all[end...]
  }

  /// The next parameter, its name as it is written; nil after the last one.
  mutating func next() -> (name: [UInt8], value: String)? {
    while rest.first == 59 {
      rest.removeFirst()
      let name = rest.prefix { $0 != 61 && $0 != 59 }
      rest.removeFirst(name.count)
      guard rest.first == 61 else { continue }
      rest.removeFirst()
      skipBlanks()
      let value = rest.first == 34 ? quoted() : token()
      return (Array(name), value)
    }
    return nil
  }

  private mutating func skipBlanks() {
    while let byte = rest.first, byte == 32 || byte == 9 { rest.removeFirst() }
  }

  private mutating func token() -> String {
    let token = rest.prefix { $0 != 59 }
    rest.removeFirst(token.count)
    let trimmed = token.filter { $0 != 32 && $0 != 9 && $0 != 13 }
    return String(decoding: trimmed, as: UTF8.self)
  }

  private mutating func quoted() -> String {
    rest.removeFirst()
    var bytes: [UInt8] = []
    while let byte = rest.popFirst(), byte != 34 {
      // Browsers write names like C:\a.txt: only a quote and a backslash are escaped.
      if byte == 92, let next = rest.first, next == 34 || next == 92 {
        bytes.append(next)
        rest.removeFirst()
      } else {
        bytes.append(byte)
      }
    }
    rest = rest.drop { $0 != 59 }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension MultipartParser {
  /// A parser of a body of this `Content-Type`; throws if it is not multipart form data with a boundary.
  init(contentType: String) throws(MultipartError) {
    var parameters = HeaderParameters(contentType.utf8)
    guard MultipartHead.isSame(parameters.value, "multipart/form-data") else {
      throw MultipartError(message: "the Content-Type is not multipart/form-data")
    }
    while let (name, value) = parameters.next() {
      guard MultipartHead.isSame(name[...], "boundary") else { continue }
      let boundary = Array(value.utf8)
      guard (1...Self.boundaryBytesMax).contains(boundary.count),
        boundary.allSatisfy({ (32...126).contains($0) })
      else { break }
      self.init(boundary: boundary)
      return
    }
    throw MultipartError(
      message: "the Content-Type has no boundary of 1 to \(Self.boundaryBytesMax) characters"
    )
  }
}
