extension String {
  /// Whether both texts are the same bytes of UTF-8.
  ///
  /// To Swift's `==` and hash, texts are the same that Unicode calls equivalent, and that takes time
  /// quadratic in the length of a hostile text: a few megabytes keep a thread busy for an hour.
  package func isSame(_ other: String) -> Bool {
    utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
  }
}
