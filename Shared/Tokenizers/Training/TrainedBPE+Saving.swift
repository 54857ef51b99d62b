#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

extension TrainedBPE {
  /// Writes `tokenizer.json` and `tokenizer_config.json` into a folder, which must exist.
  ///
  /// Each file is written beside its place, flushed, and then put there: a reader sees the old one
  /// or the new one.
  /// - Throws: what `configJSON` throws, and `invalidFile`, naming the file and the system's reason.
  package func save(folder: String, _ settings: TokenizerSettings) throws(TokenizerError) {
    let config = try configJSON(settings)
    try Self.replace("\(folder)/tokenizer.json", with: tokenizerJSON)
    try Self.replace("\(folder)/tokenizer_config.json", with: config)
  }

  private static func replace(_ path: String, with text: String) throws(TokenizerError) {
    let draft = path + ".partial"
    let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure(draft) }
    var written = 0
    let bytes = Array(text.utf8)
    while written < bytes.count {
      let count = bytes.withUnsafeBytes {
        write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written)
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        let error = failure(draft)
        close(descriptor)
        throw error
      }
      written += count
    }
    let isFlushed = fsync(descriptor) == 0
    guard isFlushed, close(descriptor) == 0, rename(draft, path) == 0 else { throw failure(path) }
  }

  private static func failure(_ path: String) -> TokenizerError {
    TokenizerError(
      .invalidFile,
      "\(path) cannot be written: \(String(cString: strerror(errno)))"
    )
  }
}
