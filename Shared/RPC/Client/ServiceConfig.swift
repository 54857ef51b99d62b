/// What a channel does for the calls of a service beyond what each call asks for (gRPC's
/// service_config.md).
public struct ServiceConfig: Sendable, Hashable {
  /// How the methods are called; what names a method counts before what names its service, and that
  /// before what names nothing.
  public var methodConfig: [MethodConfig] = []
  /// When retries and hedges stop because too many calls fail.
  public var retryThrottling: RetryThrottling?
  /// How calls are spread over the endpoints.
  public var loadBalancing: LoadBalancing
  /// When an endpoint that fails calls gets none for a while; nil: never.
  ///
  /// `pickFirst` has nowhere else to go and does without.
  public var outlierDetection: OutlierDetection?
  /// The service after whose health each server is asked (gRFC A17): one that says it does not serve
  /// gets no calls; nil: none is asked.
  ///
  /// An empty name stands for the server as a whole. `pickFirst` has nowhere else to go and does
  /// without.
  public var healthCheckService: String?

  /// Creates a configuration that asks for nothing.
  public init(
    methodConfig: [MethodConfig] = [],
    retryThrottling: RetryThrottling? = nil,
    loadBalancing: LoadBalancing = .pickFirst(),
    outlierDetection: OutlierDetection? = nil,
    healthCheckService: String? = nil
  ) {
    self.methodConfig = methodConfig
    self.retryThrottling = retryThrottling
    self.loadBalancing = loadBalancing
    self.outlierDetection = outlierDetection
    self.healthCheckService = healthCheckService
  }
}

/// How some methods are called.
public struct MethodConfig: Sendable, Hashable {
  /// Which methods.
  public struct Name: Sendable, Hashable {
    /// The service with its package; nil for every one.
    public var service: String?
    /// The method; nil for each of the service.
    public var method: String?

    /// Names one method, a service's methods, or all.
    public init(service: String? = nil, method: String? = nil) {
      self.service = service
      self.method = method
    }
  }

  /// How a call is made more than once.
  public enum Repetition: Sendable, Hashable {
    /// One attempt after the other.
    case retry(RetryPolicy)
    /// Several attempts at once; for methods that may be executed more than once.
    case hedge(HedgingPolicy)
  }

  /// The methods.
  public var name: [Name]
  /// Whether calls wait for a connection rather than fail while there is none.
  ///
  /// What the call says counts before this.
  public var waitForReady: Bool?
  /// The time a call may take; the call's own, if it is shorter, counts instead.
  public var timeout: Duration?
  /// Whether and how calls are made more than once.
  public var repetition: Repetition?

  /// Creates a configuration of methods.
  public init(
    name: [Name],
    waitForReady: Bool? = nil,
    timeout: Duration? = nil,
    repetition: Repetition? = nil
  ) {
    self.name = name
    self.waitForReady = waitForReady
    self.timeout = timeout
    self.repetition = repetition
  }
}

/// The method configurations of a service config, by path.
struct MethodConfigTable: Sendable {
  private var byPath: [String: MethodConfig] = [:]

  init(_ config: ServiceConfig) {
    for method in config.methodConfig {
      for name in method.name {
        // The first that names a method counts, as the document asks for names that are unique.
        let path = "/\(name.service ?? "")/\(name.method ?? "")"
        if byPath[path] == nil { byPath[path] = method }
      }
    }
  }

  /// What counts for a method.
  subscript(method: MethodDescriptor) -> MethodConfig? {
    guard !byPath.isEmpty else { return nil }
    return byPath[method.path] ?? byPath["/\(method.service)/"] ?? byPath["//"]
  }
}
