/// A part of the text after normalization, which still knows where every scalar came from.
struct NormalizedText {
  /// UTF-8.
  var utf8: [UInt8]
  /// For each scalar of `utf8`, the scalars of the original text it stands for.
  var origins: [Origin]

  /// A range of scalars of the original text; `end` may be below the `start` of an earlier scalar,
  /// since NFD reorders accents.
  struct Origin {
    var start: Int32
    var end: Int32
  }
}
