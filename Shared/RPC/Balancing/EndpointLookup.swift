import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// How names and files become endpoints; the system's unless a test brings its own.
public struct EndpointLookup: Sendable {
  /// The addresses of a name, in any order.
  public var addresses: @Sendable (_ name: String) async throws(RPCError) -> [String]
  /// The text of a file.
  public var text: @Sendable (_ path: String) async throws(RPCError) -> String

  /// Creates a lookup.
  public init(
    addresses: @escaping @Sendable (_ name: String) async throws(RPCError) -> [String],
    text: @escaping @Sendable (_ path: String) async throws(RPCError) -> String
  ) {
    self.addresses = addresses
    self.text = text
  }

  /// `getaddrinfo` and `read`, on threads of their own.
  public static let system = EndpointLookup(
    addresses: { name throws(RPCError) in
      try await Self.blocking("look up \(name)") { () throws(RPCError) in
        try Self.systemAddresses(of: name)
      }
    },
    text: { path throws(RPCError) in
      try await Self.blocking("read \(path)") { () throws(RPCError) in
        try Self.systemText(of: path)
      }
    }
  )

  /// Largest file of endpoints, in bytes.
  public static let fileBytesMax = 64 << 10

  /// The endpoints that a source stands for, each once, in the order of their text.
  ///
  /// Throws UNAVAILABLE if it cannot be asked, INVALID_ARGUMENT for a malformed line.
  func endpoints(of source: EndpointSource) async throws(RPCError) -> [Endpoint] {
    var found: Set<Endpoint> = []
    switch source {
    case .endpoint(let endpoint): found = try await resolved(endpoint)
    case .file(let path):
      let lines = try await text(path).split(whereSeparator: \.isNewline)
      for line in lines {
        let entry = line.prefix { $0 != "#" }.filter { $0 != " " && $0 != "\t" }
        guard !entry.isEmpty else { continue }
        let endpoint: Endpoint
        do throws(RPCError) {
          endpoint = try Endpoint(parsing: entry)
        } catch {
          throw RPCError(.invalidArgument, "\(path): '\(entry.prefix(100))' \(error.message)")
        }
        found.formUnion(try await resolved(endpoint))
      }
    }
    return found.sorted { ($0.host, $0.port) < ($1.host, $1.port) }
  }

  /// A name has its IPv4 addresses or, without any, its IPv6 ones: a server that listens on both is one replica.
  private func resolved(_ endpoint: Endpoint) async throws(RPCError) -> Set<Endpoint> {
    guard !Self.isAddress(endpoint.host) else { return [endpoint] }
    let all = try await addresses(endpoint.host)
    let old = all.filter { !$0.contains(":") }
    return Set((old.isEmpty ? all : old).map { Endpoint(host: $0, port: endpoint.port) })
  }

  /// Whether the host is an address rather than a name.
  static func isAddress(_ host: String) -> Bool {
    (try? SocketAddress(ipAddress: host, port: 0)) != nil
  }
}

// MARK: - The system

extension EndpointLookup {
  /// Runs what blocks on a thread for such work; a cancelled task does not wait for it.
  private static func blocking<Value: Sendable>(
    _ what: String,
    _ body: @escaping @Sendable () throws(RPCError) -> Value
  ) async throws(RPCError) -> Value {
    let answer = BlockingAnswer<Value>()
    return try await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        answer.wait(continuation)
        // The handler below has run already if the task was cancelled before.
        if Task.isCancelled { answer.give(.failure(.cancelledLookup(what))) }
        NIOThreadPool.singleton.submit { state in
          guard case .active = state else { return answer.give(.failure(.cancelledLookup(what))) }
          do throws(RPCError) {
            answer.give(.success(try body()))
          } catch {
            answer.give(.failure(error))
          }
        }
      }
    } onCancel: {
      answer.give(.failure(.cancelledLookup(what)))
    }.get()
  }

  private static func systemAddresses(of name: String) throws(RPCError) -> [String] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(name, nil, &hints, &list)
    guard code == 0 else {
      throw RPCError(.unavailable, "look up \(name): \(String(cString: gai_strerror(code)))")
    }
    defer { freeaddrinfo(list) }
    var addresses: [String] = []
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    var next = list
    while let entry = next {
      let info = entry.pointee
      let isNamed =
        getnameinfo(
          info.ai_addr,
          info.ai_addrlen,
          &text,
          socklen_t(text.count),
          nil,
          0,
          NI_NUMERICHOST
        ) == 0
      if isNamed {
        let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        addresses.append(String(decoding: bytes, as: UTF8.self))
      }
      next = info.ai_next
    }
    return addresses
  }

  private static func systemText(of path: String) throws(RPCError) -> String {
    func failure(_ what: String) -> RPCError {
      RPCError(.unavailable, "\(what) \(path): \(String(cString: strerror(errno)))")
    }
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw failure("open") }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: fileBytesMax + 1)
    var count = 0
    while count < bytes.count {
      let length = bytes.withUnsafeMutableBytes { buffer in
        read(file, buffer.baseAddress?.advanced(by: count), buffer.count - count)
      }
      if length < 0, errno == EINTR { continue }
      guard length >= 0 else { throw failure("read") }
      guard length > 0 else { break }
      count += length
    }
    guard count <= fileBytesMax else {
      throw RPCError(.invalidArgument, "\(path) is larger than \(fileBytesMax) bytes")
    }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}

/// Resumes a waiter with the first of several answers.
private final class BlockingAnswer<Value: Sendable>: Sendable {
  private let waiter = Mutex<CheckedContinuation<Result<Value, RPCError>, Never>?>(nil)

  func wait(_ continuation: CheckedContinuation<Result<Value, RPCError>, Never>) {
    waiter.withLock { $0 = continuation }
  }

  func give(_ result: Result<Value, RPCError>) {
    let waiter = waiter.withLock { waiter in
      defer { waiter = nil }
      return waiter
    }
    waiter?.resume(returning: result)
  }
}

extension RPCError {
  fileprivate static func cancelledLookup(_ what: String) -> RPCError {
    RPCError(.cancelled, "\(what): cancelled")
  }
}
