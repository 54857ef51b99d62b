import JSON

extension LoadBalancing {
  /// Reads a `loadBalancingConfig`: of the policies in it, the first that is known (gRFC A24).
  static func read(
    _ list: ConfigNode,
    withinOutlierDetection: Bool = false
  ) throws(RPCError) -> (LoadBalancing, OutlierDetection?) {
    for element in try list.elements() {
      let members = try element.members()
      guard let (name, node) = members.first, members.count == 1 else {
        throw element.error("\(members.count) members, expected the name of one policy")
      }
      switch name {
      case "outlier_detection_experimental":
        guard !withinOutlierDetection else { throw node.error("outlier detection within itself") }
        let child = try read(try node.required("childPolicy"), withinOutlierDetection: true)
        return (child.0, try OutlierDetection(node))
      case "pick_first":
        return (.pickFirst(shuffle: try node["shuffleAddressList"]?.boolean() ?? false), nil)
      case "round_robin":
        _ = try node.members()
        return (.roundRobin, nil)
      case "least_request_experimental":
        let choices = try node["choiceCount"]?.integer(in: 2...Int(UInt32.max))
        return (.leastRequest(choices: min(choices ?? 2, 10)), nil)
      case "ring_hash_experimental":
        return (.ringHash(try RingHash(node)), nil)
      default: continue
      }
    }
    throw list.error("no policy that is known")
  }
}

extension LoadBalancing.RingHash {
  fileprivate init(_ node: ConfigNode) throws(RPCError) {
    self.init()
    if let size = try node["minRingSize"]?.integer(in: 1...Self.sizeMax) { minRingSize = size }
    if let size = try node["maxRingSize"] {
      maxRingSize = try size.integer(in: 1...Self.sizeMax)
      guard minRingSize <= maxRingSize else {
        throw size.error("\(maxRingSize), less than minRingSize \(minRingSize)")
      }
    } else {
      maxRingSize = max(maxRingSize, minRingSize)
    }
    if let header = try node["requestHashHeader"] {
      let name = try header.string()
      guard !name.isEmpty, name.utf8.allSatisfy(Self.isNameByte),
        !Metadata.isBinary(name.lowercased())
      else {
        throw header.error("\(header.value.summary), expected a name of text metadata")
      }
      requestHashHeader = name.lowercased()
    }
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
      UInt8(ascii: "."):
      true
    default: false
    }
  }
}

extension OutlierDetection {
  fileprivate init(_ node: ConfigNode) throws(RPCError) {
    self.init()
    if let value = try node["interval"]?.duration() { interval = value }
    if let value = try node["baseEjectionTime"]?.duration() { baseEjectionTime = value }
    let longest = try node["maxEjectionTime"]?.duration()
    maxEjectionTime = longest ?? max(maxEjectionTime, baseEjectionTime)
    if let value = try node.percent("maxEjectionPercent") { maxEjectionPercent = value }
    successRateEjection = try node["successRateEjection"].map { (node) throws(RPCError) in
      var rule = SuccessRate()
      if let value = try node.count("stdevFactor") { rule.stdevFactor = value }
      if let value = try node.percent("enforcementPercentage") {
        rule.enforcementPercentage = value
      }
      if let value = try node.count("minimumHosts") { rule.minimumHosts = value }
      if let value = try node.count("requestVolume") { rule.requestVolume = value }
      return rule
    }
    failurePercentageEjection = try node["failurePercentageEjection"].map {
      (node) throws(RPCError) in
      var rule = FailurePercentage()
      if let value = try node.percent("threshold") { rule.threshold = value }
      if let value = try node.percent("enforcementPercentage") {
        rule.enforcementPercentage = value
      }
      if let value = try node.count("minimumHosts") { rule.minimumHosts = value }
      if let value = try node.count("requestVolume") { rule.requestVolume = value }
      return rule
    }
  }
}

extension ConfigNode {
  fileprivate func count(_ key: String) throws(RPCError) -> Int? {
    try self[key]?.integer(in: 0...Int(UInt32.max))
  }

  fileprivate func percent(_ key: String) throws(RPCError) -> Int? {
    try self[key]?.integer(in: 0...100)
  }
}
