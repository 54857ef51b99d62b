import CPCRE2
import JSON

/// A pattern of any kind, compiled by PCRE2.
///
/// Every element that the engine tries is counted, and every byte it passes, by a callout before
/// each: limits of PCRE2's own start anew at each position and do not count what possessive
/// repetition passes, so that patterns that are quadratic in the text would get by them.
///
/// `@unchecked Sendable`: `code` is not written after `init`, and PCRE2 reads it from any thread.
final class CompiledPattern: @unchecked Sendable {
  private let code: OpaquePointer
  private let pattern: String

  /// Compiles `pattern`; the error names it and the position.
  init(_ pattern: String, _ dialect: PatternDialect) throws(TokenizerError) {
    self.pattern = pattern
    let translation = try PatternTranslation(pattern, dialect)
    var number: Int32 = 0
    var offset = 0
    let options =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_AUTO_CALLOUT | PCRE2_NEVER_BACKSLASH_C
    guard let context = pcre2_compile_context_create_8(nil) else {
      throw TokenizerError(.limitExceeded, "pattern \"\(pattern.excerpt(300))\": no memory")
    }
    defer { pcre2_compile_context_free_8(context) }
    pcre2_set_newline_8(context, UInt32(PCRE2_NEWLINE_LF))
    pcre2_set_bsr_8(context, UInt32(PCRE2_BSR_UNICODE))
    pcre2_set_parens_nest_limit_8(context, UInt32(4 * PatternLimits.nestingMax))
    let code = translation.output.withUnsafeBufferPointer {
      pcre2_compile_8($0.baseAddress, $0.count, options, &number, &offset, context)
    }
    guard let code else {
      let position =
        offset < translation.origins.count
        ? translation.origins[offset] : translation.source.count
      throw PatternTranslation.failure(pattern, Self.message(number), at: position)
    }
    // Where code cannot be made at run time, it is interpreted.
    pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE)
    self.code = code
  }

  deinit { pcre2_code_free_8(code) }

  private static func message(_ number: Int32) -> String {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256) { buffer in
      let count = pcre2_get_error_message_8(number, buffer.baseAddress, buffer.count)
      guard count > 0 else { return "error \(number)" }
      return String(decoding: buffer.prefix(Int(count)), as: UTF8.self)
    }
  }

  /// What is left to spend on a search.
  private struct Budget {
    var steps: Int
    /// Where the element before was tried.
    var position: Int
  }

  /// Calls `body` with each match in `text[range]`, from first to last, as Rust's `find_iter` does:
  /// an empty one right behind another match does not count.
  ///
  /// Throws `limitExceeded` when it would cost more than `PatternLimits` allow.
  func forEachMatch(
    in text: UnsafePointer<UInt8>,
    _ range: Range<Int>,
    _ body: (Range<Int>) throws(TokenizerError) -> Void
  ) throws(TokenizerError) {
    let search = try Search(code)
    defer { search.free() }
    var budget = Budget(
      steps: PatternLimits.stepsMin + PatternLimits.stepsPerByteMax * range.count,
      position: 0
    )
    let subject = text + range.lowerBound
    var start = 0
    var previous: Int?
    while start <= range.count {
      let result = withUnsafeMutablePointer(to: &budget) { budget in
        pcre2_set_callout_8(search.context, Self.callout, budget)
        return search.match(code, subject, range.count, start)
      }
      if result == PCRE2_ERROR_NOMATCH { return }
      guard result > 0 else { throw failure(result) }
      let bounds = pcre2_get_ovector_pointer_8(search.data)
      guard let bounds, bounds[0] <= bounds[1], bounds[1] <= range.count, bounds[1] >= start else {
        throw failure(PCRE2_ERROR_INTERNAL)
      }
      let match = bounds[0]..<bounds[1]
      if match.isEmpty, match.lowerBound == previous {
        guard start < range.count else { return }
        start += subject.scalar(at: start).length
        continue
      }
      start = match.upperBound
      previous = start
      try body(range.lowerBound + match.lowerBound..<range.lowerBound + match.upperBound)
    }
  }

  private static let callout:
    @convention(c) (UnsafeMutablePointer<pcre2_callout_block_8>?, UnsafeMutableRawPointer?) -> Int32 =
      { block, data in
        guard let block, let data else { return PCRE2_ERROR_CALLOUT }
        let budget = data.assumingMemoryBound(to: Budget.self)
        let position = block.pointee.current_position
        let passed = position - budget.pointee.position
        budget.pointee.position = position
        budget.pointee.steps -= 1 + (passed < 0 ? -passed : passed)
        return budget.pointee.steps < 0 ? PCRE2_ERROR_CALLOUT : 0
      }

  private func failure(_ number: Int32) -> TokenizerError {
    let reason =
      number == PCRE2_ERROR_CALLOUT ? "more than the most steps for the text" : Self.message(number)
    return TokenizerError(
      .limitExceeded,
      "splitting by pattern \"\(pattern.excerpt(300))\": \(reason)"
    )
  }
}

extension CompiledPattern {
  /// What PCRE2 needs for one search; for one thread.
  private struct Search {
    let data: OpaquePointer
    let context: OpaquePointer

    init(_ code: OpaquePointer) throws(TokenizerError) {
      let data = pcre2_match_data_create_8(1, nil)
      let context = pcre2_match_context_create_8(nil)
      guard let data, let context else {
        pcre2_match_data_free_8(data)
        pcre2_match_context_free_8(context)
        throw TokenizerError(.limitExceeded, "splitting by a pattern: no memory")
      }
      pcre2_set_match_limit_8(context, PatternLimits.backtracksMax)
      pcre2_set_depth_limit_8(context, PatternLimits.backtracksMax)
      pcre2_set_heap_limit_8(context, PatternLimits.backtrackingKiBMax)
      self.data = data
      self.context = context
    }

    func free() {
      pcre2_match_data_free_8(data)
      pcre2_match_context_free_8(context)
    }

    /// Searches from `start` on: PCRE2's answer.
    func match(
      _ code: OpaquePointer,
      _ subject: UnsafePointer<UInt8>,
      _ count: Int,
      _ start: Int
    ) -> Int32 {
      let result = pcre2_match_8(
        code,
        subject,
        count,
        start,
        PCRE2_NO_UTF_CHECK,
        data,
        context
      )
      guard result == PCRE2_ERROR_JIT_STACKLIMIT else { return result == 0 ? 1 : result }
      let interpreted = pcre2_match_8(
        code,
        subject,
        count,
        start,
        PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
        data,
        context
      )
      return interpreted == 0 ? 1 : interpreted
    }
  }
}
