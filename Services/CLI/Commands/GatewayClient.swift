import AsyncHTTPClient
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The public API of a gateway, as the command line uses it.
struct GatewayClient: Sendable {
  /// The largest answer that is read.
  static let answerBytesMax = 64 << 20
  /// How long an answer may take in all.
  static let timeout: TimeAmount = .minutes(10)

  /// Says at once that nobody listens, where the shared client would go on trying.
  private static let client: HTTPClient = {
    var configuration = HTTPClient.Configuration()
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(configuration: configuration)
  }()

  let address: String

  /// What the gateway said instead of an answer.
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  struct ChatMessage: Codable, Sendable {
    var role: String
    var content: String
  }

  struct ChatRequest: Encodable, Sendable {
    var model: String
    var messages: [ChatMessage]
    var temperature: Double?
    var maxCompletionTokens: Int?
    var seed: UInt64?
    let stream = true

    enum CodingKeys: String, CodingKey {
      case model, messages, temperature, seed, stream
      case maxCompletionTokens = "max_completion_tokens"
    }
  }

  struct NERRequest: Encodable, Sendable {
    struct Parameters: Encodable, Sendable {
      var aggregationStrategy: String

      enum CodingKeys: String, CodingKey {
        case aggregationStrategy = "aggregation_strategy"
      }
    }

    var model: String
    var inputs: String
    var parameters: Parameters
  }

  struct ClassifyRequest: Encodable, Sendable {
    struct Parameters: Encodable, Sendable {
      /// nil: all labels.
      var topK: UInt32?
      var function: String?

      enum CodingKeys: String, CodingKey {
        case topK = "top_k"
        case function = "function_to_apply"
      }

      func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        // Written as null where it is nil: an absent field means one label.
        try container.encode(topK, forKey: .topK)
        try container.encodeIfPresent(function, forKey: .function)
      }
    }

    var model: String
    var inputs: String
    var parameters: Parameters
  }

  struct Model: Decodable, Sendable {
    var id: String
    var task: String?
  }

  /// `GET /v1/models`.
  func models() async throws -> [Model] {
    struct List: Decodable { var data: [Model] }
    let body = try await send(.GET, "/v1/models", body: nil)
    return try JSONDecoder().decode(List.self, from: body).data
  }

  /// The model that was asked for, else the first of the suite's for a task; `kind` names what is
  /// missing when there is none.
  func model(_ asked: String?, for task: String, kind: String) async throws -> String {
    if let asked { return asked }
    guard let first = try await models().first(where: { $0.task == task }) else {
      throw Failure(description: "the suite has no \(kind)")
    }
    return first.id
  }

  /// `POST /v1/ner`, the answer as it came.
  func ner(_ request: NERRequest) async throws -> Data {
    try await send(.POST, "/v1/ner", body: try JSONEncoder().encode(request))
  }

  /// `POST /v1/classify`, the answer as it came.
  func classify(_ request: ClassifyRequest) async throws -> Data {
    try await send(.POST, "/v1/classify", body: try JSONEncoder().encode(request))
  }

  /// `POST /v1/chat/completions`, streamed: hands on each piece of text and returns all of it.
  func chat(_ request: ChatRequest, onText: (String) -> Void) async throws -> String {
    let response = try await open(
      .POST,
      "/v1/chat/completions",
      body: try JSONEncoder().encode(request)
    )
    var events = ServerSentEvents()
    var text = ""
    for try await part in response.body {
      for event in try events.append(part.readableBytesView) {
        guard event != "[DONE]" else { return text }
        let delta = try Self.text(of: event)
        if !delta.isEmpty { onText(delta) }
        text += delta
      }
    }
    throw Failure(description: "the stream ended before the answer did")
  }

  private static func text(of event: String) throws -> String {
    struct Chunk: Decodable {
      struct Choice: Decodable {
        struct Delta: Decodable { var content: String? }
        var delta: Delta
      }
      var choices: [Choice]?
      var error: ErrorBody?
    }
    let chunk = try JSONDecoder().decode(Chunk.self, from: Data(event.utf8))
    if let error = chunk.error { throw Failure(description: error.message) }
    return chunk.choices?.first?.delta.content ?? ""
  }

  private struct ErrorBody: Decodable { var message: String }
  private struct ErrorAnswer: Decodable { var error: ErrorBody }

  private func send(_ method: HTTPMethod, _ path: String, body: Data?) async throws -> Data {
    Data(buffer: try await open(method, path, body: body).body.collect(upTo: Self.answerBytesMax))
  }

  /// Sends a request; an answer that is not 200 is thrown with its message.
  private func open(
    _ method: HTTPMethod,
    _ path: String,
    body: Data?
  ) async throws
    -> HTTPClientResponse
  {
    var request = HTTPClientRequest(url: address + path)
    request.method = method
    if let body {
      request.headers.add(name: "content-type", value: "application/json")
      request.body = .bytes(body)
    }
    let response: HTTPClientResponse
    do {
      response = try await Self.client.execute(request, timeout: Self.timeout)
    } catch let error as HTTPClientError where error != .cancelled {
      throw Failure(description: "no answer from \(address): \(error.shortDescription)")
    } catch  where !(error is CancellationError) {
      throw Failure(description: "no suite answers at \(address); start one with: llmos up")
    }
    guard response.status == .ok else {
      let body = try await response.body.collect(upTo: Self.answerBytesMax)
      let message = (try? JSONDecoder().decode(ErrorAnswer.self, from: Data(buffer: body)))?.error
        .message
      throw Failure(description: message ?? "\(address) answered \(response.status)")
    }
    return response
  }

}
