import Crypto
package import Files

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

extension FileOperations {
  /// Reads an open file from where it stands to its end.
  ///
  /// - Parameters:
  ///   - descriptor: the file.
  ///   - name: what messages call it.
  ///   - body: gets each piece on the way.
  /// - Returns: the SHA-256 in lower-case hexadecimal.
  /// - Throws: `read`, and what `body` throws.
  package static func sha256(
    ofDescriptor descriptor: CInt,
    named name: String,
    each body: (UnsafeRawBufferPointer) throws(Failure) -> Void = { _ in }
  ) throws(Failure) -> String {
    var hash = SHA256()
    try forEachPiece(descriptor, named: name) { (piece) throws(Failure) in
      hash.update(bufferPointer: piece)
      try body(piece)
    }
    return hash.finalize().hexadecimal
  }

  /// Reads a regular file: what was put in its place, such as a pipe or an endless device, is refused at once.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - followsLinks: whether it may be a symbolic link.
  /// - Returns: the SHA-256 in lower-case hexadecimal, and the bytes read.
  /// - Throws: `open`, `stat` or `read`.
  package static func sha256(
    of path: String,
    followsLinks: Bool = false
  ) throws(Failure) -> (sha256: String, sizeBytes: Int) {
    let descriptor = try openForReading(path, followsLinks: followsLinks)
    defer { close(descriptor) }
    try requireFile(descriptor, path)
    var sizeBytes = 0
    let sha256 = try sha256(ofDescriptor: descriptor, named: path) { sizeBytes += $0.count }
    return (sha256, sizeBytes)
  }
}
