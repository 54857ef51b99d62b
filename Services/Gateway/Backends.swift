import NIOCore
import RPC
import ServiceAPI
import ServiceKit

/// The services behind the gateway.
struct Backends: Sendable {
  /// Largest answer of a service, in bytes: the tokens of a long text.
  static let answerBytesMax = 16 << 20

  let tokenizer: TokenizerV1.TokenizerClient
  let inference: InferenceReplicas
  let registry: RegistryV1.RegistryClient
  /// Beside the registry, on its connection.
  let datasets: DatasetsV1.DatasetsClient
  let training: TrainingV1.TrainingClient
  /// How long a call waits for a connection.
  let readyTimeout: Duration

  /// Creates the channels; they connect by themselves.
  init(
    tokenizer: ServiceAddress,
    inference: InferenceReplicas,
    registry: ServiceAddress,
    training: ServiceAddress,
    readyTimeout: Duration,
    group: any EventLoopGroup
  ) {
    func channel(_ address: ServiceAddress) -> RPCChannel {
      var configuration = ChannelConfiguration()
      configuration.maxMessageBytes = Self.answerBytesMax
      return RPCChannel(to: address, configuration: configuration, group: group)
    }
    self.readyTimeout = readyTimeout
    self.tokenizer = .init(channel(tokenizer))
    self.inference = inference
    let data = channel(registry)
    self.registry = .init(data)
    datasets = .init(data)
    self.training = .init(channel(training))
  }

  /// The channels of the services without which the gateway is not ready, by the names that errors, logs and
  /// health checks use; beside them it needs a replica of the inference service.
  var channels: [(name: String, channel: RPCChannel)] {
    [("tokenizer", tokenizer.channel), ("registry", registry.channel)]
  }

  /// Options of a call made for the current request: it carries the request's id and trace; the
  /// deadline goes along by itself.
  var callOptions: CallOptions {
    CallOptions.inheriting(readyTimeout: readyTimeout)
  }

  /// Closes the channels.
  func close() async {
    for (_, channel) in channels { await channel.close() }
    await training.channel.close()
    await inference.close()
  }
}
