import Foundation
import Yams

/// One setting as a source spells it, before its option's type is known.
struct RawSetting: Sendable {
  /// The option's dotted name.
  var name: String
  var value: RawOptionValue
  var source: OptionSource
}

/// Reads settings from a YAML file: nested mappings whose paths are option names.
///
/// The file may be hostile: its size, the number of its values, its depth and the number of aliases
/// are bounded before and while the parser's result is walked. (libyaml bounds nesting to 1,000;
/// Yams refuses duplicate keys.)
enum ConfigurationFile {
  /// Largest configuration file.
  static let bytesMax = 256 << 10
  /// Most aliases (`*name`) in a file: sixteen can expand a value some 500-fold at most.
  static let aliasesMax = 16
  /// Most values, aliases expanded.
  static let nodesMax = 4096
  /// Most nested mappings.
  static let depthMax = 16

  /// Reads the file at `path`.
  ///
  /// - Throws: `ServiceKitError` with code `invalidConfiguration`, naming file and line.
  static func read(_ path: String) throws(ServiceKitError) -> [RawSetting] {
    let name = path.escapedForOneLine()
    let data: Data
    do {
      let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      defer { try? handle.close() }
      data = try handle.readBounded(bytesMax + 1)
    } catch {
      throw ServiceKitError(
        .invalidConfiguration,
        "configuration file \(name) cannot be read: \(reason(error))"
      )
    }
    guard data.count <= bytesMax else {
      throw ServiceKitError(
        .invalidConfiguration,
        "configuration file \(name) is larger than \(bytesMax) bytes"
      )
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw ServiceKitError(.invalidConfiguration, "configuration file \(name) is not UTF-8")
    }
    return try parse(text, path: path)
  }

  /// Parses the text of a file; `path` is for error messages.
  static func parse(_ text: String, path: String) throws(ServiceKitError) -> [RawSetting] {
    let name = path.escapedForOneLine()
    guard aliasCount(text) <= aliasesMax else {
      throw ServiceKitError(
        .invalidConfiguration,
        "configuration file \(name) has more than \(aliasesMax) aliases"
      )
    }
    let root: Node?
    do {
      root = try Parser(yaml: text).singleRoot()
    } catch {
      throw ServiceKitError(
        .invalidConfiguration,
        "configuration file \(name)\(problem(error))"
      )
    }
    guard let root, !isNull(root) else { return [] }
    guard case .mapping(let mapping) = root else {
      throw ServiceKitError(
        .invalidConfiguration,
        "configuration file \(name) is not a mapping of option names"
      )
    }
    var walker = Walker(path: path)
    try walker.walk(mapping, prefix: "", depth: 1)
    return walker.settings
  }

  private struct Walker {
    let path: String
    var settings: [RawSetting] = []
    var nodes = 0

    mutating func walk(
      _ mapping: Node.Mapping,
      prefix: String,
      depth: Int
    ) throws(ServiceKitError) {
      guard depth <= ConfigurationFile.depthMax else {
        throw fail(mapping.mark, "more than \(ConfigurationFile.depthMax) nested mappings")
      }
      for (keyNode, value) in mapping {
        try count(keyNode.mark)
        guard case .scalar(let key) = keyNode else {
          throw fail(keyNode.mark, "a key is not a plain name")
        }
        let name = prefix.isEmpty ? key.string : "\(prefix).\(key.string)"
        let source = OptionSource.file(path: path, line: keyNode.mark?.line ?? 0)
        switch value {
        case .mapping(let inner):
          try walk(inner, prefix: name, depth: depth + 1)
        case .sequence(let items):
          settings.append(
            RawSetting(name: name, value: .items(try scalars(items, of: name)), source: source)
          )
        case .scalar(let scalar):
          guard !ConfigurationFile.isNull(value) else {
            throw fail(keyNode.mark, "option '\(name.escapedForOneLine())' has no value")
          }
          settings.append(RawSetting(name: name, value: .text(scalar.string), source: source))
        case .alias:
          throw fail(keyNode.mark, "an alias is not allowed here")
        }
      }
    }

    private mutating func scalars(
      _ items: Node.Sequence,
      of name: String
    ) throws(ServiceKitError) -> [String] {
      var texts: [String] = []
      for item in items {
        try count(item.mark)
        guard case .scalar(let scalar) = item, !ConfigurationFile.isNull(item) else {
          throw fail(
            item.mark,
            "an item of option '\(name.escapedForOneLine())' is not a plain value"
          )
        }
        texts.append(scalar.string)
      }
      return texts
    }

    private mutating func count(_ mark: Mark?) throws(ServiceKitError) {
      nodes += 1
      guard nodes <= ConfigurationFile.nodesMax else {
        throw fail(mark, "more than \(ConfigurationFile.nodesMax) values")
      }
    }

    private func fail(_ mark: Mark?, _ text: String) -> ServiceKitError {
      let line = mark.map { ", line \($0.line)" } ?? ""
      return ServiceKitError(
        .invalidConfiguration,
        "configuration file \(path.escapedForOneLine())\(line): \(text)"
      )
    }
  }

  /// Whether the node is an empty or `null` plain scalar; `""` in quotes is a text.
  private static func isNull(_ node: Node) -> Bool {
    guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else {
      return false
    }
    return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
  }

  /// Counts `*` where YAML reads an alias; it may count some inside texts, which errs on the
  /// safe side.
  private static func aliasCount(_ text: String) -> Int {
    var count = 0
    var previous = UInt8(ascii: "\n")
    var beforePrevious = UInt8(ascii: "\n")
    for byte in text.utf8 {
      let isName =
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte)
        || (0x61...0x7a).contains(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
      if previous == UInt8(ascii: "*"), isName, " \t\r\n,[]{}:?-".utf8.contains(beforePrevious) {
        count += 1
      }
      beforePrevious = previous
      previous = byte
    }
    return count
  }

  private static func problem(_ error: any Error) -> String {
    guard let error = error as? YamlError else { return ": \(error)".escapedForOneLine() }
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      return ", line \(mark.line): \(problem.escapedForOneLine())"
    case .reader(let problem, _, _, _):
      return ": \(problem.escapedForOneLine())"
    case .duplicatedKeysInMapping(let duplicates, let context):
      let key = duplicates.first ?? ""
      return ", line \(context.mark.line): key '\(key.escapedForOneLine())' is given twice"
    default:
      return ": is not YAML"
    }
  }

  private static func reason(_ error: any Error) -> String {
    let error = error as NSError
    let underlying = error.userInfo[NSUnderlyingErrorKey] as? NSError
    let posix = underlying?.domain == NSPOSIXErrorDomain ? underlying : error
    if posix?.domain == NSPOSIXErrorDomain, let code = posix?.code {
      return String(cString: strerror(Int32(code)))
    }
    return CocoaError.Code(rawValue: error.code) == .fileReadNoSuchFile
      ? "No such file or directory" : error.localizedDescription.escapedForOneLine()
  }
}

extension FileHandle {
  /// Reads at most `limit` bytes, until the end of the file (pipes come in pieces).
  fileprivate func readBounded(_ limit: Int) throws -> Data {
    var data = Data()
    while data.count < limit, let part = try read(upToCount: limit - data.count), !part.isEmpty {
      data += part
    }
    return data
  }
}
