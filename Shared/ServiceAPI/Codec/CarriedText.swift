extension String {
  /// The text as a message carries it: a string of protobuf-c ends at U+0000, so that becomes U+FFFD,
  /// as it does for what is no character at all.
  ///
  /// For text that a model made; a vocabulary of bytes has a token for 0.
  public var carried: String {
    utf8.contains(0)
      ? String(String.UnicodeScalarView(unicodeScalars.map { $0 == "\0" ? "\u{FFFD}" : $0 })) : self
  }
}
