package import NIOCore
package import RPC
import ServiceAPI

extension RPCChannel {
  /// A channel from one service of the suite to another.
  ///
  /// Methods that change nothing are called again when the server is lost or cannot answer now.
  package convenience init(
    to address: ServiceAddress,
    configuration: ChannelConfiguration = ChannelConfiguration(),
    group: any EventLoopGroup
  ) {
    var configuration = configuration
    configuration.serviceConfig = .suite
    self.init(
      host: address.host,
      port: address.port,
      configuration: configuration,
      group: group
    )
  }
}

extension ServiceConfig {
  /// How the services call each other.
  ///
  /// The inference service is not named: the gateway chooses its replica anew for each attempt. Nor are calls that
  /// their callers follow for long and begin anew with what they know by then.
  package static let suite = ServiceConfig(
    methodConfig: [
      MethodConfig(
        name: repeatable.map { MethodConfig.Name(service: $0.service, method: $0.method) },
        repetition: .retry(
          MethodConfig.RetryPolicy(
            maxAttempts: 3,
            initialBackoff: .milliseconds(50),
            maxBackoff: .seconds(1),
            retryableStatusCodes: [.unavailable]
          )
        )
      )
    ],
    retryThrottling: RetryThrottling(maxTokens: 100, tokenRatio: 0.1)
  )

  /// Unary methods without an effect that a second call would repeat.
  private static let repeatable: [MethodDescriptor] = [
    TokenizerV1.TokenizerMethods.encode,
    TokenizerV1.TokenizerMethods.decode,
    TokenizerV1.TokenizerMethods.renderChat,
    RegistryV1.RegistryMethods.listModels,
    RegistryV1.RegistryMethods.resolveModel,
    RegistryV1.RegistryMethods.getModel,
    DatasetsV1.DatasetsMethods.listDatasets,
    DatasetsV1.DatasetsMethods.getDataset,
    DatasetsV1.DatasetsMethods.diffDatasets,
    TrainingV1.TrainingMethods.getJob,
    TrainingV1.TrainingMethods.listJobs,
    TrainingV1.TrainingMethods.getMetrics,
    TrainingV1.TrainingMethods.getReport,
    TrainingV1.TrainingMethods.listSettings,
  ]
}
