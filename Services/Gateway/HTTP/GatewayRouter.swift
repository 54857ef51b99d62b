import HTTPTypes
import Hummingbird
import Logging

/// Puts the public API together.
struct GatewayRouter: Sendable {
  let chat: ChatHandler
  let ner: NERHandler
  let classify: ClassifyHandler
  let models: ModelsHandler
  let files: FilesHandler
  let tuning: FineTuningHandler
  let tuningEvents: FineTuningEventsHandler
  let load: RequestLoad
  let logger: Logger
  /// What keeps the gateway from serving; empty when it is ready.
  let unreadiness: @Sendable () -> [String]
  /// Whether the process is told to end.
  let isDraining: @Sendable () -> Bool

  /// The router with all routes of ``Route``.
  func build() -> Router<HTTPContext> {
    let router = Router(context: HTTPContext.self, options: .autoGenerateHeadEndpoints)
    router.add(
      middleware: GatewayMiddleware(load: load, logger: logger, isDraining: isDraining)
    )
    for route in Route.allCases {
      for method in route.methods {
        router.on(RouterPath(route.rawValue), method: method) { request, context in
          try await answer(route, request, context)
        }
      }
    }
    return router
  }

  private func answer(
    _ route: Route,
    _ request: Request,
    _ context: HTTPContext
  ) async throws -> Response {
    func id() throws -> String { try context.parameters.require("id").percentDecoded }
    switch route {
    case .chat: return try await chat.answer(request, context)
    case .ner: return try await ner.answer(request, context)
    case .classify: return try await classify.answer(request, context)
    case .models: return try await models.list()
    case .model: return try await models.get(id())
    case .files where request.method == .post: return try await files.create(request, context)
    case .files: return try await files.list(request)
    case .file where request.method == .delete: return try await files.delete(id())
    case .file: return try await files.get(id())
    case .fileContent: return try await files.content(id())
    case .jobs where request.method == .post: return try await tuning.create(request, context)
    case .jobs: return try await tuning.list(request)
    case .job: return try await tuning.get(id())
    case .jobCancellation: return try await tuning.cancel(id())
    case .jobEvents: return try await tuningEvents.answer(id(), request, context)
    case .health:
      let reasons = unreadiness()
      guard reasons.isEmpty else {
        throw GatewayError(.unavailable, "Not ready: \(reasons.joined(separator: "; ")).")
      }
      return .json(Array(#"{"status":"ok"}"#.utf8))
    }
  }
}

extension String {
  /// The text with `%40` and the like read; unchanged where they are malformed.
  fileprivate var percentDecoded: String {
    var bytes: [UInt8] = []
    var rest = utf8[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(2).compactMap { byte in
        byte < 0x80 ? Character(Unicode.Scalar(byte)).hexDigitValue : nil
      }
      if byte == UInt8(ascii: "%"), digits.count == 2 {
        bytes.append(UInt8(digits[0] << 4 | digits[1]))
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
