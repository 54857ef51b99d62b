import NIOSSL

/// Who the client of a connection is by its certificate, which was checked against the server's
/// roots (RFC 5280, 4.1.2.6 and 4.2.1.6).
public struct PeerIdentity: Sendable, Hashable {
  /// Names kept of each kind.
  static let namesMax = 100

  /// The subject's most specific common name.
  public var commonName: String?
  /// Alternative names that are DNS names.
  public var dnsNames: [String]
  /// Alternative names that are URIs, such as a SPIFFE id.
  public var uris: [String]
  /// Alternative names that are e-mail addresses.
  public var emails: [String]

  /// Creates an identity; for tests of handlers.
  public init(
    commonName: String? = nil,
    dnsNames: [String] = [],
    uris: [String] = [],
    emails: [String] = []
  ) {
    self.commonName = commonName
    self.dnsNames = dnsNames
    self.uris = uris
    self.emails = emails
  }

  init(_ certificate: NIOSSLCertificate) {
    self.init(commonName: certificate.subjectName.last { $0.type == .commonName }?.value)
    for name in certificate._subjectAlternativeNames().prefix(Self.namesMax) {
      let text = String(decoding: name.contents, as: UTF8.self)
      switch name.nameType {
      case .dnsName: dnsNames.append(text)
      case .uri: uris.append(text)
      case .email: emails.append(text)
      default: break
      }
    }
  }

  /// The name to account by: the first URI, DNS name or e-mail address, else the common name.
  public var name: String? { uris.first ?? dnsNames.first ?? emails.first ?? commonName }
}
