import Foundation
import Testing

/// An authority with certificates that it signs, in a folder of its own.
struct TestCertificates {
  /// A certificate and its key as PEM files.
  struct Pair {
    let certificate: String
    let key: String
  }

  let folder: URL
  let authority: Pair

  /// Runs `body` with an authority, whose folder is removed after it.
  static func with(_ body: (TestCertificates) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "rpc-ca-\(UUID().uuidString)"
    )
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let authority = try await make(folder, "ca", ["-subj", "/CN=Test CA"])
    try await body(TestCertificates(folder: folder, authority: authority))
  }

  /// Makes a certificate that the authority signs; `names` as in `DNS:localhost,URI:a://b`.
  func issue(_ file: String, commonName: String, names: String) async throws -> Pair {
    try await Self.make(
      folder,
      file,
      [
        "-CA", authority.certificate, "-CAkey", authority.key, "-subj",
        "/O=llmos/CN=\(commonName)", "-addext", "subjectAltName=\(names)", "-addext",
        "basicConstraints=critical,CA:FALSE",
      ]
    )
  }

  private static func make(_ folder: URL, _ file: String, _ more: [String]) async throws -> Pair {
    let pair = Pair(
      certificate: folder.appendingPathComponent("\(file).pem").path,
      key: folder.appendingPathComponent("\(file).key").path
    )
    let made = try await Subprocess.run(
      try #require(Peers.openssl),
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "2", "-keyout", pair.key, "-out", pair.certificate,
      ] + more
    )
    try #require(made, "openssl made no certificate")
    return pair
  }

  /// Puts a pair's files in the place of another's, as a tool that renews certificates does.
  func replace(_ old: Pair, with new: Pair) throws {
    for (from, to) in [(new.certificate, old.certificate), (new.key, old.key)] {
      try Data(contentsOf: URL(fileURLWithPath: from)).write(
        to: URL(fileURLWithPath: to),
        options: .atomic
      )
    }
  }
}
