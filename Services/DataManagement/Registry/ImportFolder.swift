import Files
import Glibc
import Store

/// A folder to import: which of its files are taken.
///
/// Only names of the Hugging Face layout that inference, tokenizing or the licence need are taken; all else
/// (other weight formats, test data, hidden files, subfolders) is left where it is.
struct ImportFolder: Sendable {
  /// The weights' file name.
  static let weights = "model.safetensors"
  /// The files without which a folder is no model.
  static let required = ["config.json", weights, "tokenizer.json"]
  /// The files that are taken if present.
  private static let optional: Set<String> = [
    "README.md", "chat_template.jinja", "generation_config.json", "merges.txt",
    "special_tokens_map.json", "tokenizer_config.json", "vocab.json", "vocab.txt",
  ]
  /// What the names of legal texts start with; they travel with the weights.
  private static let legalPrefixes = ["LICENSE", "NOTICE"]

  /// The folder: absolute, without symbolic links.
  let path: String
  /// The names of the files taken, sorted.
  let names: [String]
  /// The names of entries left out, sorted.
  let ignored: [String]

  /// Lists the folder; throws if it is none, a required file is missing, or there are too many entries.
  init(path: String, limits: RegistryLimits) throws(DataError) {
    guard path.hasPrefix("/"), !path.utf8.contains(0) else {
      throw DataError(
        .invalidArgument,
        "import \(StoreName.quoted(path)): the folder's path must be absolute"
      )
    }
    let canonical = try FileSystem.canonicalPath(path)
    guard try FileSystem.status(canonical)?.kind == .directory else {
      throw DataError(.failedPrecondition, "import \(path): not a folder")
    }
    self.path = canonical
    let entries = try FileSystem.entries(of: canonical, limit: limits.folderEntriesMax)
    names = entries.filter(Self.isTaken)
    ignored = entries.filter { !Self.isTaken($0) }
    for name in Self.required where !names.contains(name) {
      throw DataError(.failedPrecondition, "import \(path): \(name) is missing")
    }
    guard names.count <= limits.filesMax else {
      throw DataError(
        .resourceExhausted,
        "import \(path): \(names.count) files, more than \(limits.filesMax)"
      )
    }
  }

  /// The folder's own name.
  var folderName: String { String(path.split(separator: "/").last ?? "") }

  static func isTaken(_ name: String) -> Bool {
    if required.contains(name) || optional.contains(name) { return true }
    let isPlain = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "-"):
        true
      default: false
      }
    }
    return isPlain && legalPrefixes.contains { name.hasPrefix($0) }
  }

  /// Opens one of the files for reading and hands its descriptor and size to the body.
  ///
  /// A symbolic link is followed only within the folder: elsewhere it could name any file of the machine.
  /// Neither a pipe nor a device is opened for reading: that could block for ever.
  func withFile<Value>(
    _ name: String,
    _ body: (CInt, Int64) throws(DataError) -> Value
  ) throws(DataError) -> Value {
    let target: String
    do {
      target = try FileSystem.canonicalPath("\(path)/\(name)")
    } catch {
      throw refusal(of: name, "unreadable: \(error.message)", cause: error.cause)
    }
    guard target.hasPrefix(path == "/" ? path : "\(path)/") else {
      // As in the cache of Hugging Face's hub.
      throw refusal(
        of: name,
        "a symbolic link that leaves the folder; import a copy by `cp -rL`"
      )
    }
    let descriptor = open(target, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else {
      let cause = SystemCallError(number: errno)
      throw refusal(of: name, "unreadable: \(cause)", cause: cause)
    }
    defer { close(descriptor) }
    let status = try FileSystem.status(ofDescriptor: descriptor, name: name)
    guard status.kind == .file else { throw refusal(of: name, "not a regular file") }
    return try body(descriptor, status.sizeBytes)
  }

  private func refusal(
    of name: String,
    _ reason: String,
    cause: (any Error)? = nil
  ) -> DataError {
    DataError(.failedPrecondition, "import \(path): \(name): \(reason)", cause: cause)
  }
}
