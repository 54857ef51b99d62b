import Crypto

extension Sequence<UInt8> {
  /// The bytes as lower-case hexadecimal digits, which is how digests are written.
  package var hexadecimal: String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(2 * underestimatedCount)
    for byte in self {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}

/// The digest of a set of named contents, lower-case hexadecimal: SHA-256 of the lines `<sha256>  <name>` sorted by
/// name (bytewise).
///
/// That is what `sha256sum` prints, so in a folder with these files `LC_ALL=C sha256sum -- * | sha256sum` prints the
/// same digest.
package func sha256(ofListing contents: some Sequence<(name: String, sha256: String)>) -> String {
  var hash = SHA256()
  for (name, sha256) in contents.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  ) {
    hash.update(data: Array("\(sha256)  \(name)\n".utf8))
  }
  return hash.finalize().hexadecimal
}
