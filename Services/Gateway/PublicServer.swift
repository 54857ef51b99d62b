import Hummingbird
import HummingbirdCore
import Logging
import ModelAccess
import NIOCore
import ServiceKit

/// The gateway's parts, put together.
struct PublicServer: Sendable {
  /// Connections that the system holds for us to accept.
  private static let backlog = 1024

  let backends: Backends
  let probe: BackendProbe
  let catalog: ModelCatalog
  let load: RequestLoad
  private let router: GatewayRouter
  private let settings: GatewaySettings
  private let group: any EventLoopGroup
  private let openRequests = OpenRequests()
  private let logger: Logger

  init(
    settings: GatewaySettings,
    metrics: MetricsRegistry,
    health: HealthRegistry,
    group: any EventLoopGroup,
    logger: Logger
  ) {
    let backends = Backends(
      tokenizer: settings.tokenizer,
      inference: InferenceReplicas(
        settings.inference,
        readyTimeout: settings.readyTimeout,
        metrics: metrics,
        health: health,
        group: group,
        logger: logger,
        onChange: settings.onReplicaChange
      ),
      registry: settings.registry,
      training: settings.training,
      readyTimeout: settings.readyTimeout,
      group: group
    )
    let report = ModelSwapReport(metrics: metrics, logger: logger)
    let catalog = ModelCatalog(backends, ages: settings.catalogAges) { report($0) }
    let gatewayMetrics = GatewayMetrics(metrics)
    let load = RequestLoad(
      limits: settings.load,
      metrics: gatewayMetrics,
      accessLogger: settings.logsAccess ? logger : nil,
      onChange: settings.onLoadChange
    )
    self.backends = backends
    self.catalog = catalog
    self.settings = settings
    self.group = group
    self.logger = logger
    self.load = load
    probe = BackendProbe(backends: backends, health: health, timeout: settings.probeTimeout)
    router = GatewayRouter(
      chat: ChatHandler(
        backends: backends,
        catalog: catalog,
        metrics: gatewayMetrics,
        limits: settings.limits,
        logger: logger
      ),
      ner: NERHandler(backends: backends, catalog: catalog, limits: settings.limits),
      classify: ClassifyHandler(backends: backends, catalog: catalog, limits: settings.limits),
      models: ModelsHandler(catalog: catalog),
      files: FilesHandler(backends: backends, limits: settings.limits),
      tuning: FineTuningHandler(backends: backends, limits: settings.limits),
      tuningEvents: FineTuningEventsHandler(backends: backends, limits: settings.limits),
      load: load,
      logger: logger,
      unreadiness: {
        health.readiness().compactMap { check in check.failure.map { "\(check.name): \($0)" } }
      },
      isDraining: { health.phase == .draining }
    )
  }

  /// Ends every request that waits for its answer: with an error event where the answer has begun, else with 503.
  func endRequests() { openRequests.end(.shutDown) }

  /// The HTTP server as a service: it runs until its graceful shutdown, which lets requests finish.
  ///
  /// `onListening` is told the port.
  func application(
    onListening: @escaping @Sendable (Int) async -> Void = { _ in }
  ) -> some ApplicationProtocol {
    let (connection, openRequests) = (settings.connection, openRequests)
    // Its own narration is of interest only when something goes wrong.
    var quiet = logger
    quiet.logLevel = max(.warning, logger.logLevel)
    return Application(
      router: router.build(),
      server: .http1(
        configuration: .init(
          additionalChannelHandlers: [
            ConnectionHandler(limits: connection, registry: openRequests)
          ],
          idleTimeout: settings.idleTimeout,
          httpDecoderConfiguration: .init(
            maxHeaderFieldSize: settings.headerFieldBytesMax,
            maxHeaderListSize: settings.headerBytesMax,
            maxHeaderFieldCount: settings.headerFieldsMax
          )
        )
      ),
      configuration: .init(
        address: .hostname(settings.http.host, port: settings.http.port),
        backlog: Self.backlog,
        availableConnectionsDelegate: MaximumAvailableConnections(
          settings.connectionsMax,
          logger: quiet
        )
      ),
      onServerRunning: { await onListening($0.localAddress?.port ?? settings.http.port) },
      eventLoopGroupProvider: .shared(group),
      logger: quiet
    )
  }
}
