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
  /// Uploads under way; a further one is refused.
  package var uploadsMax = 8
  /// Metrics of one version.
  package var metricsMax = 256
  /// Bytes of a metric's name.
  package var metricNameBytesMax = 128
  /// Bytes of a lineage's configuration.
  package var configurationBytesMax = 16 << 10
  /// Bytes of each other text of a lineage.
  package var lineageBytesMax = 256
  /// Changes of one alias that are kept.
  package var aliasHistoryMax = 1_000
  /// Watchers of aliases at a time.
  package var watchersMax = 256
  /// Milliseconds a statement waits for a lock on the database.
  package var databaseBusyMillisecondsMax = 5_000

  /// The defaults.
  package init() {}

  /// Bytes a file of this name may have.
  func bytesMax(of file: String) -> Int64 {
    switch file {
    case ImportFolder.weights: weightsBytesMax
    case "tokenizer.json", "vocab.json", "vocab.txt", "merges.txt": tokenizerBytesMax
    default: otherFileBytesMax
    }
  }
}
