import JSON

extension ServiceConfig {
  /// The longest text that is read, in bytes.
  public static let jsonBytesMax = 1 << 20
  /// The most values in a text.
  static let jsonValuesMax = 1 << 16

  /// Reads a service config as gRPC writes it (gRPC's service_config.md, gRFCs A2, A6, A17, A21, A42,
  /// A48, A50 and A62).
  ///
  /// Members that are not known are passed over, and of the balancing policies the first that is
  /// known counts. Throws INVALID_ARGUMENT for anything else that is not right, with the place, such
  /// as `methodConfig[0].timeout`.
  public init(json: String) throws(RPCError) {
    let bytes = Array(json.utf8)
    guard bytes.count <= Self.jsonBytesMax else {
      throw RPCError(
        .invalidArgument,
        "service config: \(bytes.count) bytes, at most \(Self.jsonBytesMax)"
      )
    }
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONReader.parse(bytes, valuesMax: Self.jsonValuesMax)
    } catch {
      throw RPCError(.invalidArgument, "service config: \(error)", cause: error)
    }
    try self.init(ConfigNode(path: "", value: value))
  }

  private init(_ root: ConfigNode) throws(RPCError) {
    self.init()
    var names: Set<MethodConfig.Name> = []
    if let list = try root["methodConfig"] {
      for node in try list.elements() {
        methodConfig.append(try MethodConfig(node, &names))
      }
    }
    retryThrottling = try root["retryThrottling"].map { (node) throws(RPCError) in
      RetryThrottling(
        maxTokens: try node.required("maxTokens").integer(in: 1...1000),
        tokenRatio: try node.required("tokenRatio").positive()
      )
    }
    if let list = try root["loadBalancingConfig"] {
      (loadBalancing, outlierDetection) = try LoadBalancing.read(list)
    } else if let name = try root["loadBalancingPolicy"] {
      // The older way, which names a policy and nothing else.
      switch try name.string().lowercased() {
      case "pick_first": loadBalancing = .pickFirst()
      case "round_robin": loadBalancing = .roundRobin
      default: throw name.error("\(name.value.summary), expected pick_first or round_robin")
      }
    }
    if let name = try root["healthCheckConfig"]?["serviceName"] {
      healthCheckService = try name.string()
    }
  }
}

extension MethodConfig {
  /// `names` are those that others have: each may be there once.
  fileprivate init(_ node: ConfigNode, _ names: inout Set<Name>) throws(RPCError) {
    self.init(name: [])
    for element in try node["name"]?.elements() ?? [] {
      let parsed = try Name(element)
      guard names.insert(parsed).inserted else { throw element.error("is there twice") }
      name.append(parsed)
    }
    waitForReady = try node["waitForReady"]?.boolean()
    timeout = try node["timeout"]?.duration(allowsZero: true)
    let (retry, hedging) = (try node["retryPolicy"], try node["hedgingPolicy"])
    if let retry {
      guard hedging == nil else { throw node.error("both retryPolicy and hedgingPolicy") }
      repetition = .retry(try RetryPolicy(retry))
    } else if let hedging {
      repetition = .hedge(try HedgingPolicy(hedging))
    }
  }
}

extension MethodConfig.Name {
  /// An empty name is one that is absent.
  fileprivate init(_ node: ConfigNode) throws(RPCError) {
    let service = try node["service"]?.string() ?? ""
    let method = try node["method"]?.string() ?? ""
    guard !service.isEmpty || method.isEmpty else { throw node.error("a method without a service") }
    self.init(service: service.isEmpty ? nil : service, method: method.isEmpty ? nil : method)
  }
}

extension MethodConfig.RetryPolicy {
  fileprivate init(_ node: ConfigNode) throws(RPCError) {
    let perAttempt = try node["perAttemptRecvTimeout"]?.duration()
    let list = try node["retryableStatusCodes"]
    let codes = try list?.statusCodes() ?? []
    // Without either nothing would ever be made again.
    guard !codes.isEmpty || perAttempt != nil else {
      throw (list ?? node).error("retryableStatusCodes must name a status")
    }
    self.init(
      maxAttempts: try node.attempts(),
      initialBackoff: try node.required("initialBackoff").duration(),
      maxBackoff: try node.required("maxBackoff").duration(),
      backoffMultiplier: try node.required("backoffMultiplier").positive(),
      retryableStatusCodes: codes,
      perAttemptReceiveTimeout: perAttempt
    )
  }
}

extension MethodConfig.HedgingPolicy {
  fileprivate init(_ node: ConfigNode) throws(RPCError) {
    self.init(
      maxAttempts: try node.attempts(),
      hedgingDelay: try node["hedgingDelay"]?.duration(allowsZero: true) ?? .zero,
      nonFatalStatusCodes: try node["nonFatalStatusCodes"]?.statusCodes() ?? []
    )
  }
}

extension ConfigNode {
  /// More than the most count as the most (gRFC A6).
  fileprivate func attempts() throws(RPCError) -> Int {
    min(
      try required("maxAttempts").integer(in: 2...Int(UInt32.max)),
      MethodConfig.RetryPolicy.attemptsMax
    )
  }
}
