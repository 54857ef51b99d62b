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
  /// How long a name may take: the system's resolver asks its second server after five seconds, for each of the
  /// domains that it tries.
  var timeMax: Duration = .seconds(20)

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
      try await Self.blocking("look up \(name)", on: lookupThreads) { () throws(RPCError) in
        try Self.systemAddresses(of: name)
      }
    },
    text: { path throws(RPCError) in
      try await Self.blocking("read \(path)", on: .singleton) { () throws(RPCError) in
        try Self.systemText(of: path)
      }
    }
  )

  /// Largest file of endpoints, in bytes.
  public static let fileBytesMax = 64 << 10

  /// Most names in a file of endpoints; addresses are bounded by the file's size.
  public static let fileNamesMax = 64

  /// The endpoints that a source stands for, each once, in the order of their text.
  ///
  /// `names` holds what names stood for: they are looked up only if `isAnew` or if they are new, and one that cannot
  /// be looked up now stands for what it did before.
  ///
  /// Throws UNAVAILABLE if the source cannot be read or stands for nothing because lookups fail, INVALID_ARGUMENT for
  /// a malformed line.
  func endpoints(
    of source: EndpointSource,
    names: inout ResolvedNames,
    isAnew: Bool = true
  ) async throws(RPCError) -> [Endpoint] {
    let entries = try await entries(of: source)
    let named = entries.filter { !Self.isAddress($0.host) }
    guard named.count <= Self.fileNamesMax else {
      throw RPCError(
        .invalidArgument,
        "\(source) has \(named.count) names, more than \(Self.fileNamesMax)"
      )
    }
    let due = named.filter { isAnew || names.known[$0] == nil }
    names.known = names.known.filter { named.contains($0.key) }
    names.failure = nil
    // Side by side: one that takes long must not keep the others back.
    await withTaskGroup(of: (Endpoint, Result<Set<Endpoint>, RPCError>).self) { group in
      for endpoint in due { group.addTask { (endpoint, await resolved(endpoint)) } }
      for await (endpoint, result) in group {
        switch result {
        case .success(let addresses): names.known[endpoint] = addresses
        case .failure(let error): names.failure = error
        }
      }
    }
    var found = Set(entries.filter { Self.isAddress($0.host) })
    for addresses in names.known.values { found.formUnion(addresses) }
    if found.isEmpty, let failure = names.failure { throw failure }
    return found.sorted { ($0.host, $0.port) < ($1.host, $1.port) }
  }

  private func entries(of source: EndpointSource) async throws(RPCError) -> Set<Endpoint> {
    switch source {
    case .endpoint(let endpoint): return [endpoint]
    case .file(let path): return try Self.entries(try await text(path), of: path)
    }
  }

  /// Reads the text of a file of endpoints.
  static func entries(_ text: String, of path: String) throws(RPCError) -> Set<Endpoint> {
    var entries: Set<Endpoint> = []
    for line in text.split(whereSeparator: \.isNewline) {
      let entry = line.prefix { $0 != "#" }.filter { $0 != " " && $0 != "\t" }
      guard !entry.isEmpty else { continue }
      do throws(RPCError) {
        entries.insert(try Endpoint(parsing: entry))
      } catch {
        throw RPCError(.invalidArgument, "\(path): '\(entry.prefix(100))' \(error.message)")
      }
    }
    return entries
  }

  /// A name has its IPv4 addresses or, without any, its IPv6 ones: a server that listens on both is one replica.
  private func resolved(_ endpoint: Endpoint) async -> Result<Set<Endpoint>, RPCError> {
    do throws(RPCError) {
      let all = try await boundedAddresses(of: endpoint.host)
      let old = all.filter { !$0.contains(":") }
      return .success(
        Set((old.isEmpty ? all : old).map { Endpoint(host: $0, port: endpoint.port) })
      )
    } catch {
      return .failure(error)
    }
  }

  /// The addresses of a name.
  ///
  /// Throws UNAVAILABLE if they take longer than ``timeMax``, whatever becomes of the look-up.
  func boundedAddresses(of name: String) async throws(RPCError) -> [String] {
    let (addresses, timeMax) = (addresses, timeMax)
    let answer = FirstAnswer<[String]>()
    // In a task of its own, as it may be deaf to its cancellation.
    let look = Task {
      do throws(RPCError) {
        answer.give(.success(try await addresses(name)))
      } catch {
        answer.give(.failure(error))
      }
    }
    let timer = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: TimeAmount(timeMax)) {
      answer.give(.failure(RPCError(.unavailable, "look up \(name): no answer in \(timeMax)")))
    }
    defer {
      timer.cancel()
      look.cancel()
    }
    return try await answer.value(orCancelled: .cancelledLookup("look up \(name)"))
  }

  /// Whether the host is an address rather than a name.
  static func isAddress(_ host: String) -> Bool {
    (try? SocketAddress(ipAddress: host, port: 0)) != nil
  }
}

/// What the names of a source stood for when they were last looked up.
struct ResolvedNames: Sendable {
  fileprivate(set) var known: [Endpoint: Set<Endpoint>] = [:]
  /// Why one of them could not be looked up the last time.
  fileprivate(set) var failure: RPCError?
}

// MARK: - The system

extension EndpointLookup {
  /// For `getaddrinfo` alone: names that hang must not keep files and certificates back.
  private static let lookupThreads = {
    let threads = NIOThreadPool(numberOfThreads: 16)
    threads.start()
    return threads
  }()

  /// Runs what blocks on a thread for such work; a cancelled task does not wait for it.
  private static func blocking<Value: Sendable>(
    _ what: String,
    on threads: NIOThreadPool,
    _ body: @escaping @Sendable () throws(RPCError) -> Value
  ) async throws(RPCError) -> Value {
    let answer = FirstAnswer<Value>()
    threads.submit { state in
      // Nobody may wait any more when its turn comes.
      guard case .active = state, !answer.isGiven else {
        return answer.give(.failure(.cancelledLookup(what)))
      }
      do throws(RPCError) {
        answer.give(.success(try body()))
      } catch {
        answer.give(.failure(error))
      }
    }
    return try await answer.value(orCancelled: .cancelledLookup(what))
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

/// The first of several answers, for one task that waits for it.
private final class FirstAnswer<Value: Sendable>: Sendable {
  private struct State {
    var result: Result<Value, RPCError>?
    var waiter: CheckedContinuation<Result<Value, RPCError>, Never>?
  }

  private let state = Mutex(State())

  var isGiven: Bool { state.withLock { $0.result != nil } }

  /// Without effect after the first.
  func give(_ result: Result<Value, RPCError>) {
    typealias Waiter = CheckedContinuation<Result<Value, RPCError>, Never>
    let waiter = state.withLock { state -> Waiter? in
      guard state.result == nil else { return nil }
      state.result = result
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume(returning: result)
  }

  /// The answer; `cancelled` is one when the task is.
  func value(orCancelled cancelled: RPCError) async throws(RPCError) -> Value {
    try await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let result = state.withLock { state in
          if state.result == nil { state.waiter = continuation }
          return state.result
        }
        if let result { continuation.resume(returning: result) }
      }
    } onCancel: {
      give(.failure(cancelled))
    }.get()
  }
}

extension RPCError {
  fileprivate static func cancelledLookup(_ what: String) -> RPCError {
    RPCError(.cancelled, "\(what): cancelled")
  }
}
