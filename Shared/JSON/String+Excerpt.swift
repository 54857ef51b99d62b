extension String {
  /// The first `scalarsMax` Unicode scalars, then "…" if there are more: for messages.
  ///
  /// Takes time that does not depend on the length, unlike a prefix of characters, of which one
  /// can be as long as the text.
  package func excerpt(_ scalarsMax: Int = 80) -> String {
    let scalars = unicodeScalars
    guard
      let end = scalars.index(
        scalars.startIndex,
        offsetBy: scalarsMax,
        limitedBy: scalars.endIndex
      ),
      end < scalars.endIndex
    else { return self }
    return "\(String(scalars[..<end]))…"
  }
}
