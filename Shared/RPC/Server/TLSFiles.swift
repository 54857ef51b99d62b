import NIOSSL

/// Where a side's TLS certificates and keys are, all in PEM.
public struct TLSFiles: Sendable, Equatable {
  /// Whether a server asks its clients for certificates.
  public enum ClientCertificates: Sendable, Equatable {
    /// It asks for none.
    case none
    /// A client may have none; one that it has is checked.
    case optional
    /// A client without a certificate that `roots` signed gets no connection (mTLS).
    case required
  }

  /// The largest file read, in bytes.
  static let fileBytesMax = 1024 * 1024

  /// This side's certificate, followed by those that signed it up to the root; a client may have
  /// none.
  public var certificateChain: String?
  /// The certificate's private key.
  public var privateKey: String?
  /// The certificates that the other side's is checked against; the system's when nil.
  public var roots: String?
  /// Whether a server asks its clients for certificates.
  public var clientCertificates = ClientCertificates.none

  /// Files of a server.
  public init(
    certificateChain: String,
    privateKey: String,
    clientRoots: String? = nil,
    clientCertificates: ClientCertificates = .none
  ) {
    precondition(
      clientCertificates == .none || clientRoots != nil,
      "TLS: clients' certificates are checked against no roots"
    )
    self.certificateChain = certificateChain
    self.privateKey = privateKey
    roots = clientRoots
    self.clientCertificates = clientCertificates
  }

  /// Files of a client: whom it trusts, and its own certificate if the server asks for one.
  public init(roots: String?, certificateChain: String? = nil, privateKey: String? = nil) {
    precondition(
      (certificateChain == nil) == (privateKey == nil),
      "TLS: a certificate needs its key, a key its certificate"
    )
    self.roots = roots
    self.certificateChain = certificateChain
    self.privateKey = privateKey
  }

  var paths: [String] { [certificateChain, privateKey, roots].compactMap { $0 } }

  /// Makes a context of the files' contents, by path.
  ///
  /// Throws INVALID_ARGUMENT for what is no certificate or key, or a pair that does not belong
  /// together.
  func context(
    isServer: Bool,
    _ contents: [String: [UInt8]]
  ) throws(RPCError) -> NIOSSLContext {
    do {
      // The defaults of both sides are the same but for what is set here.
      var configuration = TLSConfiguration.makeClientConfiguration()
      if let certificateChain, let privateKey {
        let chain = try NIOSSLCertificate.fromPEMBytes(contents[certificateChain] ?? [])
        let key = try NIOSSLPrivateKey(bytes: contents[privateKey] ?? [], format: .pem)
        configuration.certificateChain = chain.map { .certificate($0) }
        configuration.privateKey = .privateKey(key)
      }
      if let roots {
        let certificates = try NIOSSLCertificate.fromPEMBytes(contents[roots] ?? [])
        configuration.trustRoots = .certificates(certificates)
      }
      configuration.applicationProtocols = ["h2"]
      // HTTP/2 takes no less (RFC 9113, 9.2).
      configuration.minimumTLSVersion = .tlsv12
      if isServer {
        configuration.certificateVerification =
          switch clientCertificates {
          case .none: .none
          case .optional: .optionalVerification
          case .required: .noHostnameVerification
          }
      }
      return try NIOSSLContext(configuration: configuration)
    } catch {
      let names = paths.joined(separator: ", ")
      throw RPCError(.invalidArgument, "TLS: no use of \(names): \(error)", cause: error)
    }
  }
}
