/// The bounds of the registry; each has a name, so that an error can say which one was met.
package struct RegistryLimits: Sendable {
  /// Entries a folder may have to be imported, whether they are taken or not.
  package var folderEntriesMax = 1_024
  /// Files taken from one folder.
  package var filesMax = 64
  /// Bytes of `model.safetensors`.
  package var weightsBytesMax: Int64 = 1 << 40
  /// Bytes of `tokenizer.json`, the largest vocabularies of today being about 35 MB.
  package var tokenizerBytesMax: Int64 = 256 << 20
  /// Bytes of every other file.
  package var otherFileBytesMax: Int64 = 16 << 20
  /// Versions of all models together; keeps a list of them in one message.
  package var versionsMax = 2_000
  /// Aliases of one model.
  package var aliasesMax = 32
  /// Imports that run or wait; a further one is refused.
  package var importsPendingMax = 16
  /// Verifications that run or wait; a further one is refused.
  package var verificationsPendingMax = 16
  /// Milliseconds a statement waits for a lock on the database.
  package var databaseBusyMillisecondsMax = 5_000

  /// The defaults.
  package init() {}

  /// Bytes a file of this name may have.
  func bytesMax(of file: String) -> Int64 {
    switch file {
    case ModelFile.weights: weightsBytesMax
    case "tokenizer.json", "vocab.json", "vocab.txt", "merges.txt": tokenizerBytesMax
    default: otherFileBytesMax
    }
  }
}
