import RPC
import ServiceAPI

/// Turns texts into the windows that a model reads.
struct NEREncoder: Sendable {
  let backends: Backends
  let model: String
  /// The model's context, special tokens counted.
  let windowTokens: Int
  /// Tokens that neighbouring windows share; nil: one window, the rest of the text is left out.
  let stride: Int?
  /// Whether errors name a text by its index.
  let isList: Bool

  /// Refuses a stride that leaves no room for new tokens, as transformers does.
  func checkStride() throws(GatewayError) {
    guard let stride, stride >= windowTokens else { return }
    throw Self.strideTooLarge(stride, windowTokens)
  }

  /// Encodes one text, which is not empty.
  func encode(_ text: String, index: Int) async throws(GatewayError) -> InferenceV1.TokenizedText {
    let first = try await call(text, overflow: false)
    guard let stride, Int(first.tokenCount) > windowTokens else { return .init(text, first) }
    // The windows' size is known only now: with a large stride a text becomes many times as long.
    let special = first.windows.first?.special.count { $0 } ?? 0
    let step = windowTokens - special - stride
    guard step > 0 else { throw Self.strideTooLarge(stride, windowTokens - special) }
    let windows = (Int(first.tokenCount) - windowTokens + step - 1) / step + 1
    guard windows * windowTokens <= NERHandler.textTokensMax else {
      let name = isList ? "inputs[\(index)]" : "inputs"
      throw .invalid(
        name,
        "string_above_max_length",
        "Invalid '\(name)': the text becomes \(windows) windows of \(windowTokens) tokens; at most "
          + "\(NERHandler.textTokensMax) tokens are read. Use a smaller stride or shorter texts."
      )
    }
    return .init(text, try await call(text, overflow: true))
  }

  private func call(
    _ text: String,
    overflow: Bool
  ) async throws(GatewayError) -> TokenizerV1.EncodeResponse {
    var request = TokenizerV1.EncodeRequest()
    request.model = model
    request.text = text
    request.windowTokens = UInt32(windowTokens)
    request.strideTokens = overflow ? UInt32(stride ?? 0) : 0
    request.overflow = overflow
    do throws(RPCError) {
      return try await backends.tokenizer.encode(request, options: backends.callOptions)
    } catch {
      throw GatewayError(error, from: "tokenizer", model: model)
    }
  }

  private static func strideTooLarge(_ stride: Int, _ bound: Int) -> GatewayError {
    .invalid(
      "parameters.stride",
      "integer_above_max_value",
      "Invalid 'parameters.stride': the stride must be less than \(bound), the tokens of a window, "
        + "but it is \(stride)."
    )
  }
}

extension InferenceV1.TokenizedText {
  fileprivate init(_ text: String, _ response: TokenizerV1.EncodeResponse) {
    self.init()
    self.text = text
    windows = response.windows.map { window in
      var own = InferenceV1.TokenWindow()
      own.ids = window.ids
      own.tokens = window.tokens
      own.starts = window.starts
      own.ends = window.ends
      own.special = window.special
      return own
    }
  }
}
