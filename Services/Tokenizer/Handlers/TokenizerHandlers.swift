package import ModelAccess
package import RPC
package import ServiceAPI
package import Tokenizers

/// The tokenizer service: finds the model, calls its tokenizer, encodes what it says.
///
/// Tokenizing takes time in proportion to the text, so it runs on a thread pool and never on an event loop.
package struct TokenizerHandlers: TokenizerV1.TokenizerService {
  private let models: LoadedModels<Tokenizer>
  private let pool: WorkPool

  /// The most tokens of an answer to Encode, in all windows: about as many as fit into a message.
  package static let encodedTokensMax = 1 << 18

  /// Handlers that use the tokenizers in `models` on `pool`.
  package init(models: LoadedModels<Tokenizer>, pool: WorkPool) {
    self.models = models
    self.pool = pool
  }

  /// Encodes one text, in windows if it is longer than asked for.
  package func encode(
    _ request: TokenizerV1.EncodeRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.EncodeResponse {
    let tokenizer = try await models.entry(request.model).model
    var options = EncodingOptions()
    options.addSpecialTokens = !request.withoutSpecialTokens
    options.windowTokens = request.windowTokens == 0 ? nil : Int(request.windowTokens)
    options.strideTokens = Int(request.strideTokens)
    options.overflow = request.overflow
    return try await compute { [options] in
      let encoded = try tokenizer.encodeText(request.text, options: options)
      let count = encoded.windows.reduce(0) { $0 + $1.ids.count }
      guard count <= Self.encodedTokensMax else {
        throw RPCError(
          .invalidArgument,
          "encode: the text has \(count) tokens in its windows; \(Self.encodedTokensMax) are accepted"
        )
      }
      var response = TokenizerV1.EncodeResponse()
      response.windows = encoded.windows.map(TokenizerV1.Encoding.init)
      response.tokenCount = UInt32(encoded.tokenCount)
      return response
    }
  }

  /// Turns token ids back into text.
  package func decode(
    _ request: TokenizerV1.DecodeRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.DecodeResponse {
    let tokenizer = try await models.entry(request.model).model
    return try await compute {
      if let unknown = request.ids.first(where: { tokenizer.token(of: $0) == nil }) {
        throw RPCError(.invalidArgument, "decode: the vocabulary has no token \(unknown)")
      }
      var response = TokenizerV1.DecodeResponse()
      response.text = try tokenizer.decode(
        request.ids,
        skipSpecialTokens: !request.keepSpecialTokens
      ).carried
      return response
    }
  }

  /// Renders chat messages with the model's template and encodes the prompt.
  package func renderChat(
    _ request: TokenizerV1.RenderChatRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.RenderChatResponse {
    let tokenizer = try await models.entry(request.model).model
    return try await compute {
      var response = TokenizerV1.RenderChatResponse()
      response.prompt = try tokenizer.renderChat(
        request.messages.map { ChatMessage(role: $0.role, content: $0.content) },
        addGenerationPrompt: !request.withoutGenerationPrompt
      )
      // The template writes the special tokens itself.
      var options = EncodingOptions()
      options.addSpecialTokens = false
      response.ids = try tokenizer.encode(response.prompt, options: options).flatMap(\.ids)
      return response
    }
  }

  /// Loads a model's tokenizer, so that requests for it need not wait.
  package func loadModel(
    _ request: TokenizerV1.LoadModelRequest,
    context: ServerContext
  ) async throws -> TokenizerV1.LoadModelResponse {
    let version = try await models.entry(request.model).version
    var response = TokenizerV1.LoadModelResponse()
    response.name = version.name
    response.version = version.version
    return response
  }

  private func compute<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
  ) async throws -> Result {
    do {
      return try await pool.admit { try await pool.run(body) }
    } catch let error as TokenizerError {
      throw RPCError(error)
    }
  }
}

extension TokenizerV1.Encoding {
  /// The message of one window.
  init(_ encoding: Encoding) {
    self.init()
    ids = encoding.ids
    tokens = encoding.tokens
    starts = encoding.offsets.map { UInt32($0.lowerBound) }
    ends = encoding.offsets.map { UInt32($0.upperBound) }
    wordIDs = encoding.wordIDs.map { $0.map(Int32.init) ?? -1 }
    special = encoding.special
  }
}
