import Testing

@testable import RPC

/// Service configs as gRPC writes them.
@Suite struct ServiceConfigJSONTests {
  // MARK: What is read

  /// The examples of gRFC A6, "Integration with Service Config".
  @Test func `the retry policy of gRFC A6 is read`() throws {
    let config = try ServiceConfig(
      json: """
        {
          "loadBalancingPolicy": "round_robin",
          "methodConfig": [
            {
              "name": [{"service": "google.example.Echo"}, {"service": "a.B", "method": "C"}],
              "waitForReady": true,
              "timeout": "1.5s",
              "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "aborted", 4]
              }
            }
          ],
          "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}
        }
        """
    )
    let expected = ServiceConfig(
      methodConfig: [
        MethodConfig(
          name: [.init(service: "google.example.Echo"), .init(service: "a.B", method: "C")],
          waitForReady: true,
          timeout: .milliseconds(1500),
          repetition: .retry(
            MethodConfig.RetryPolicy(
              maxAttempts: 4,
              initialBackoff: .milliseconds(100),
              maxBackoff: .seconds(1),
              backoffMultiplier: 2,
              retryableStatusCodes: [.unavailable, .aborted, .deadlineExceeded]
            )
          )
        )
      ],
      retryThrottling: RetryThrottling(maxTokens: 10, tokenRatio: 0.1),
      loadBalancing: .roundRobin
    )
    #expect(config == expected)
  }

  @Test func `the hedging policy of gRFC A6 is read`() throws {
    let config = try ServiceConfig(
      json: """
        {"methodConfig": [{"name": [{}], "hedgingPolicy": {
          "maxAttempts": 4, "hedgingDelay": "0.5s",
          "nonFatalStatusCodes": ["UNAVAILABLE", "INTERNAL", "ABORTED"]}}]}
        """
    )
    let policy = MethodConfig.HedgingPolicy(
      maxAttempts: 4,
      hedgingDelay: .milliseconds(500),
      nonFatalStatusCodes: [.unavailable, .internal, .aborted]
    )
    #expect(
      config.methodConfig == [MethodConfig(name: [.init()], repetition: .hedge(policy))]
    )
  }

  @Test func `more than five attempts count as five, and the time of one attempt is enough`() throws
  {
    let config = try ServiceConfig(
      json: """
        {"methodConfig": [{"name": [{"service": ""}], "retryPolicy": {
          "maxAttempts": 100, "initialBackoff": "1s", "maxBackoff": "10s",
          "backoffMultiplier": 1.6, "perAttemptRecvTimeout": "0.000000001s"}}]}
        """
    )
    guard case .retry(let policy) = config.methodConfig.first?.repetition else {
      Issue.record("no retry policy")
      return
    }
    #expect(policy.maxAttempts == 5)
    #expect(policy.perAttemptReceiveTimeout == .nanoseconds(1))
    #expect(policy.retryableStatusCodes.isEmpty)
  }

  @Test(arguments: [
    (#"[{"pick_first": {}}]"#, LoadBalancing.pickFirst()),
    (#"[{"pick_first": {"shuffleAddressList": true}}]"#, .pickFirst(shuffle: true)),
    (#"[{"round_robin": {}}]"#, .roundRobin),
    (#"[{"xds_wrr_locality": {"a": []}}, {"round_robin": {}}, {"pick_first": 1}]"#, .roundRobin),
    (#"[{"least_request_experimental": {"choiceCount": 50}}]"#, .leastRequest(choices: 10)),
    (#"[{"least_request_experimental": {}}]"#, .leastRequest(choices: 2)),
    (#"[{"ring_hash_experimental": {}}]"#, .ringHash()),
    (
      #"[{"ring_hash_experimental": {"minRingSize": "16", "maxRingSize": 32.0, "requestHashHeader": "X-User"}}]"#,
      .ringHash(.init(minRingSize: 16, maxRingSize: 32, requestHashHeader: "x-user"))
    ),
  ])
  func `of the balancing policies the first that is known counts`(
    list: String,
    policy: LoadBalancing
  ) throws {
    let config = try ServiceConfig(json: #"{"loadBalancingConfig": \#(list)}"#)
    #expect(config.loadBalancing == policy)
    #expect(config.outlierDetection == nil)
  }

  @Test func `outlier detection is read with the policy within it, as in gRFC A50`() throws {
    let config = try ServiceConfig(
      json: """
        {"loadBalancingConfig": [{"outlier_detection_experimental": {
          "interval": "2s", "baseEjectionTime": "400s", "maxEjectionPercent": 50,
          "successRateEjection": {"stdevFactor": 1000, "requestVolume": 7},
          "failurePercentageEjection": {"threshold": 60, "enforcementPercentage": 0,
            "minimumHosts": 3},
          "childPolicy": [{"unknown": {}}, {"round_robin": {}}]}}],
         "healthCheckConfig": {"serviceName": "a.B"}}
        """
    )
    var expected = OutlierDetection(
      successRateEjection: .init(stdevFactor: 1000, requestVolume: 7),
      failurePercentageEjection: .init(threshold: 60, enforcementPercentage: 0, minimumHosts: 3)
    )
    expected.interval = .seconds(2)
    expected.baseEjectionTime = .seconds(400)
    expected.maxEjectionTime = .seconds(400)
    expected.maxEjectionPercent = 50
    #expect(config.outlierDetection == expected)
    #expect(config.loadBalancing == .roundRobin)
    #expect(config.healthCheckService == "a.B")
  }

  @Test(arguments: [
    "{}", "{\"methodConfig\": null, \"loadBalancingConfig\": null}",
    #"{"grpclb": 1, "methodConfig": [], "healthCheckConfig": {}}"#,
  ])
  func `what asks for nothing is the default`(text: String) throws {
    #expect(try ServiceConfig(json: text) == ServiceConfig())
  }

  // MARK: What is refused

  private static func method(_ member: String) -> String {
    #"{"methodConfig": [{"name": [{}], \#(member)}]}"#
  }

  private static func retry(_ changes: String) -> String {
    method(
      #""retryPolicy": {"initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 2, \#(changes)}"#
    )
  }

  @Test(arguments: [
    ("[]", "text: an array, expected an object"),
    ("{", "line 1"),
    (#"{"a": 1, "a": 2}"#, "line 1"),
    (#"{"methodConfig": {}}"#, "methodConfig: an object, expected an array"),
    (#"{"methodConfig": [3]}"#, "methodConfig[0]: 3, expected an object"),
    (
      method(#""waitForReady": "yes""#), #"methodConfig[0].waitForReady: "yes", expected a boolean"#
    ),
    (method(#""timeout": 1"#), "methodConfig[0].timeout: 1, expected a duration not below zero"),
    (method(#""timeout": "1""#), "methodConfig[0].timeout: \"1\", expected"),
    (method(#""timeout": "-1s""#), "methodConfig[0].timeout: \"-1s\", expected"),
    (method(#""timeout": "1.s""#), "methodConfig[0].timeout: \"1.s\", expected"),
    (method(#""timeout": "0.0000000001s""#), "methodConfig[0].timeout: "),
    (method(#""timeout": "999999999999s""#), "methodConfig[0].timeout: "),
    (
      #"{"methodConfig": [{"name": [{"method": "M"}]}]}"#,
      "methodConfig[0].name[0]: a method without a service"
    ),
    (
      #"{"methodConfig": [{"name": [{"service": "s"}]}, {"name": [{"service": "s"}]}]}"#,
      "methodConfig[1].name[0]: is there twice"
    ),
    (method(#""retryPolicy": {}, "hedgingPolicy": {}"#), "both retryPolicy and hedgingPolicy"),
    (method(#""hedgingPolicy": {}"#), "methodConfig[0].hedgingPolicy: 'maxAttempts' is missing"),
    (
      retry(#""maxAttempts": 1, "retryableStatusCodes": ["ABORTED"]"#),
      "methodConfig[0].retryPolicy.maxAttempts: 1, expected a whole number from 2"
    ),
    (
      retry(#""maxAttempts": 2.5, "retryableStatusCodes": ["ABORTED"]"#),
      "methodConfig[0].retryPolicy.maxAttempts: 2.5, expected"
    ),
    (
      retry(#""maxAttempts": 2, "retryableStatusCodes": []"#),
      "methodConfig[0].retryPolicy.retryableStatusCodes: retryableStatusCodes must name a status"
    ),
    (
      retry(#""maxAttempts": 2, "retryableStatusCodes": ["ABORTED", "NO"]"#),
      #"methodConfig[0].retryPolicy.retryableStatusCodes[1]: "NO", expected a status code"#
    ),
    (
      retry(#""maxAttempts": 2, "retryableStatusCodes": [17]"#),
      "methodConfig[0].retryPolicy.retryableStatusCodes[0]: 17, expected a status code"
    ),
    (
      method(
        #""retryPolicy": {"maxAttempts": 2, "initialBackoff": "0s", "retryableStatusCodes": [14]}"#
      ),
      "methodConfig[0].retryPolicy.initialBackoff: \"0s\", expected a duration above zero"
    ),
    (
      #"{"retryThrottling": {"maxTokens": 1001, "tokenRatio": 1}}"#,
      "retryThrottling.maxTokens: 1001, expected a whole number from 1 to 1000"
    ),
    (
      #"{"retryThrottling": {"maxTokens": 10, "tokenRatio": 0}}"#,
      "retryThrottling.tokenRatio: 0, expected a number above zero"
    ),
    (#"{"loadBalancingConfig": []}"#, "loadBalancingConfig: no policy that is known"),
    (#"{"loadBalancingConfig": [{"eds": {}}]}"#, "loadBalancingConfig: no policy that is known"),
    (
      #"{"loadBalancingConfig": [{"eds": {}, "round_robin": {}}]}"#,
      "loadBalancingConfig[0]: 2 members, expected the name of one policy"
    ),
    (
      #"{"loadBalancingConfig": [{"round_robin": 1}]}"#,
      "loadBalancingConfig[0].round_robin: 1, expected an object"
    ),
    (
      #"{"loadBalancingConfig": [{"least_request_experimental": {"choiceCount": 1}}]}"#,
      "loadBalancingConfig[0].least_request_experimental.choiceCount: 1, expected"
    ),
    (
      #"{"loadBalancingConfig": [{"ring_hash_experimental": {"maxRingSize": 9000000}}]}"#,
      "maxRingSize: 9000000, expected a whole number from 1 to 8388608"
    ),
    (
      #"{"loadBalancingConfig": [{"ring_hash_experimental": {"minRingSize": 9, "maxRingSize": 8}}]}"#,
      "maxRingSize: 8, less than minRingSize 9"
    ),
    (
      #"{"loadBalancingConfig": [{"ring_hash_experimental": {"requestHashHeader": "a-bin"}}]}"#,
      "requestHashHeader: \"a-bin\", expected a name of text metadata"
    ),
    (
      #"{"loadBalancingConfig": [{"outlier_detection_experimental": {}}]}"#,
      "outlier_detection_experimental: 'childPolicy' is missing"
    ),
    (
      #"{"loadBalancingConfig": [{"outlier_detection_experimental": {"maxEjectionPercent": 101, "childPolicy": [{"round_robin": {}}]}}]}"#,
      "maxEjectionPercent: 101, expected a whole number from 0 to 100"
    ),
    (
      #"{"loadBalancingConfig": [{"outlier_detection_experimental": {"childPolicy": [{"outlier_detection_experimental": {"childPolicy": []}}]}}]}"#,
      "outlier detection within itself"
    ),
    (#"{"loadBalancingPolicy": "random"}"#, "loadBalancingPolicy: \"random\", expected pick_first"),
    (#"{"healthCheckConfig": {"serviceName": 1}}"#, "healthCheckConfig.serviceName: 1, expected"),
  ])
  func `what is wrong is told with its place`(text: String, message: String) throws {
    let error = #expect(throws: RPCError.self) { try ServiceConfig(json: text) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.message.hasPrefix("service config: ") == true)
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }

  @Test func `hostile texts are bounded`() throws {
    for text in [
      String(repeating: " ", count: ServiceConfig.jsonBytesMax + 1),
      String(repeating: "[", count: 100_000),
      "{\"a\": [" + String(repeating: "0,", count: ServiceConfig.jsonValuesMax) + "0]}",
      #"{"loadBalancingConfig": [{"\#(String(repeating: "x", count: 100_000))": 1, "b": 2}]}"#,
    ] {
      let error = #expect(throws: RPCError.self) { try ServiceConfig(json: text) }
      #expect((error?.message.utf8.count ?? 0) < 300)
    }
  }
}
