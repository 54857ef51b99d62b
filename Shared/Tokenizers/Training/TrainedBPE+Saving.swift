import Files

extension TrainedBPE {
  /// Writes `tokenizer.json` and `tokenizer_config.json` into a folder, which must exist.
  ///
  /// A reader sees the old file or the new one.
  /// - Throws: what `configJSON` throws, and `invalidFile`, naming the file and the system's reason.
  package func save(folder: String, _ settings: TokenizerSettings) throws(TokenizerError) {
    let config = try configJSON(settings)
    try AtomicFile<TokenizerError>.write(tokenizerJSON.utf8, to: "\(folder)/tokenizer.json")
    try AtomicFile<TokenizerError>.write(config.utf8, to: "\(folder)/tokenizer_config.json")
  }
}
