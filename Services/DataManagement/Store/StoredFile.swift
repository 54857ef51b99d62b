/// A file of the store: a name under which it is known, and its content as a blob.
package struct StoredFile: Sendable, Equatable {
  /// The file's name, for people; a model's file has it in the model's folder.
  package let name: String
  /// Size in bytes.
  package let sizeBytes: Int64
  /// SHA-256 of the content, lower-case hexadecimal; also the name of its blob.
  package let sha256: String

  /// A file with its size and digest.
  package init(name: String, sizeBytes: Int64, sha256: String) {
    self.name = name
    self.sizeBytes = sizeBytes
    self.sha256 = sha256
  }
}
