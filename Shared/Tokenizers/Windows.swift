/// Cutting an encoding into windows, as Hugging Face's truncation with
/// `return_overflowing_tokens` does.
struct Windows {
  /// Tokens of the text in one window.
  let capacity: Int?
  /// How far one window begins after the one before; nil if only the first is wanted.
  let step: Int?
  let addedTokens: Int

  init(_ options: EncodingOptions, addedTokens: Int) throws(TokenizerError) {
    self.addedTokens = addedTokens
    guard let windowTokens = options.windowTokens else {
      capacity = nil
      step = nil
      return
    }
    guard windowTokens > addedTokens else {
      throw TokenizerError(
        .invalidArgument,
        "a window of \(windowTokens) tokens has no room beside \(addedTokens) special tokens"
      )
    }
    let capacity = windowTokens - addedTokens
    self.capacity = capacity
    guard options.overflow else {
      step = nil
      return
    }
    guard options.strideTokens >= 0, options.strideTokens < capacity else {
      throw TokenizerError(
        .invalidArgument,
        "a stride of \(options.strideTokens) tokens must be below the \(capacity) tokens of text "
          + "in a window of \(windowTokens)"
      )
    }
    step = capacity - options.strideTokens
  }

  /// The windows of `tokenCount` tokens; at least one.
  func ranges(tokenCount: Int) throws(TokenizerError) -> [Range<Int>] {
    guard let capacity, tokenCount > capacity else { return [0..<tokenCount] }
    guard let step else { return [0..<capacity] }
    let count = (tokenCount - capacity + step - 1) / step + 1
    guard count <= TokenizerLimits.windowsMax,
      count * (capacity + addedTokens) <= TokenizerLimits.windowedTokensMax
    else {
      throw TokenizerError(
        .limitExceeded,
        "\(tokenCount) tokens make \(count) windows of \(capacity + addedTokens); the limits are "
          + "\(TokenizerLimits.windowsMax) windows and \(TokenizerLimits.windowedTokensMax) "
          + "tokens in all"
      )
    }
    return (0..<count).map { $0 * step..<min($0 * step + capacity, tokenCount) }
  }
}
