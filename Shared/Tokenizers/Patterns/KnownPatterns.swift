import Synchronization

/// The patterns for which there is a `WordScanner`: each as it is published, and who uses it.
///
/// Patterns of one run (`\p{N}{1,3}`, `[一-龥]+`, …) are known by their form, see `RunScanner`.
enum KnownPatterns {
  struct Row: Sendable {
    /// The pattern; line ends in it may also be written as they are.
    let text: String
    let pattern: WordPattern
    /// What it is in `fancy-regex`, if that differs.
    var fancyRegex: WordPattern?
    /// Models and tokenizers that use it.
    let users: String
  }

  /// The scanner of `pattern`, if it is known.
  static func scanner(of pattern: String, _ dialect: PatternDialect) -> WordScanner? {
    let canonical = canonical(pattern)
    // Few rows, and loading a tokenizer asks a few times.
    guard let row = rows.first(where: { $0.text.utf8.elementsEqual(canonical.utf8) }) else {
      return nil
    }
    let wanted = dialect == .fancyRegex ? row.fancyRegex ?? row.pattern : row.pattern
    return scanners.withLock { scanners in
      if let scanner = scanners[wanted] { return scanner }
      let scanner = WordScanner(wanted)
      scanners[wanted] = scanner
      return scanner
    }
  }

  /// As many as rows and dialects at most, and kept: nothing in them is ever freed.
  private static let scanners = Mutex<[WordPattern: WordScanner]>([:])

  private static func canonical(_ pattern: String) -> String {
    var text = ""
    for scalar in pattern.unicodeScalars {
      switch scalar {
      case "\r": text += #"\r"#
      case "\n": text += #"\n"#
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  static let gpt2 =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
  static let llama3 = contractions + "|" + word + #"|\p{N}{1,3}|"# + others + "|" + spaces
  static let qwen2 = contractions + "|" + word + #"|\p{N}|"# + others + "|" + spaces
  static let qwen35 =
    contractions + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"#
    + spaces
  static let seedCoder =
    contractions + "|" + word + #"|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|"# + spaces
  static let bailing =
    #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|"#
    + #"\s*[\r\n]|\s+(?!\S)|\s+"#
  static let miniCPM5 = contractions + "|" + word + #"|\p{N}+|"# + others + "|" + spaces
  static let ufakzeka = word + #"|\p{N}|"# + others + "|" + spaces
  static let exaoneMoE =
    contractions + #"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}|"#
    + #" ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"#
  static let o200k = cased(contractions + "?") + #"|\p{N}{1,3}|"# + othersSlash + "|" + spaces
  static let youtu = cased(contractions + "?") + #"|\p{N}|"# + othersSlash + "|" + spaces
  static let tekken = cased("") + #"|\p{N}|"# + othersSlash + "|" + spaces
  static let kimiK2 =
    #"[\p{Han}]+|"# + cased(contractions + "?", except: #"&&[^\p{Han}]"#) + #"|\p{N}{1,3}|"#
    + others + "|" + spaces
  static let deepSeekV3 = punctuated + #"| ?[\p{P}\p{S}]+[\r\n]*|"# + spaces
  static let spark = punctuated + #"| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"#

  private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let word = #"[^\r\n\p{L}\p{N}]?\p{L}+"#
  private static let others = #" ?[^\s\p{L}\p{N}]+[\r\n]*"#
  private static let othersSlash = #" ?[^\s\p{L}\p{N}]+[\r\n/]*"#
  private static let spaces = #"\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let punctuated =
    ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##

  private static func cased(_ contractions: String, except: String = "") -> String {
    let prefix = #"[^\r\n\p{L}\p{N}]?"#
    let upper = #"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"# + except
    let lower = #"\p{Ll}\p{Lm}\p{Lo}\p{M}"# + except
    return "\(prefix)[\(upper)]*[\(lower)]+\(contractions)"
      + "|\(prefix)[\(upper)]+[\(lower)]*\(contractions)"
  }

  /// GPT-2's, and what others are made of.
  private static let ofGPT2 = WordPattern(contractions: .exact, spaceBeforeNumbers: true)

  private static func ofGPT4(
    _ numbersMax: Int,
    newlines: WordPattern.Newlines = .runs
  ) -> WordPattern {
    WordPattern(
      contractions: .folded,
      prefix: .except([.letters, .numbers]),
      numbersMax: numbersMax,
      following: .newlines,
      newlines: newlines
    )
  }

  private static func ofGPT4o(
    _ contractions: WordPattern.Contractions,
    _ numbersMax: Int
  ) -> WordPattern {
    WordPattern(
      contractions: contractions,
      prefix: .except([.letters, .numbers]),
      isCased: true,
      numbersMax: numbersMax,
      following: .newlinesAndSlashes,
      newlines: .runs
    )
  }

  private static let ofDeepSeek = WordPattern(
    prefix: .except([.letters, .punctuation, .symbol]),
    letters: [.letters, .mark],
    punctuatedWords: true,
    numbersMax: 0,
    others: .only([.punctuation, .symbol]),
    following: .newlines,
    newlines: .runs
  )

  static let rows: [Row] = [
    Row(
      text: gpt2,
      pattern: ofGPT2,
      users:
        "GPT-2, RoBERTa, GPT-NeoX, Pythia, OPT, BART, Phi-2, MPT, OLMo, ModernBERT; with digits "
        + "split off first StarCoder, SmolLM, Command-R, CodeShell"
    ),
    Row(
      text: #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#,
      pattern: ofGPT2,
      users: "older tiktoken's gpt2, r50k_base and p50k_base"
    ),
    Row(
      text: #"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"#,
      pattern: ofGPT2,
      users: "tiktoken's gpt2, r50k_base and p50k_base"
    ),
    Row(
      text: llama3,
      pattern: ofGPT4(3),
      users:
        "Llama 3, DBRX, GLM-4, OLMo 2, Falcon 3, Pixtral, LFM2, SmolLM3, cl100k of older tiktoken"
    ),
    Row(
      text: contractions + "|" + word + #"|\p{N}{1,3}|"# + others + #"|\s*[\r\n]|\s+(?!\S)|\s+"#,
      pattern: ofGPT4(3),
      users: "cl100k as converted by some"
    ),
    Row(
      text:
        #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|"#
        + #"\s*[\r\n]|\s+(?!\S)|\s+"#,
      pattern: ofGPT4(3),
      users: "GPT-4 and GPT-3.5 (cl100k), Phi-4"
    ),
    Row(
      text:
        #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|"#
        + #"\s++$|\s*[\r\n]|\s+(?!\S)|\s"#,
      pattern: ofGPT4(.max, newlines: .runsUnlessLast),
      fancyRegex: ofGPT4(3, newlines: .runsUnlessLast),
      users: "tiktoken's cl100k_base"
    ),
    Row(
      text: qwen2,
      pattern: ofGPT4(1),
      users: "Qwen to Qwen 3, StableLM 2, Hunyuan, DeepSeek-R1 on Qwen, Grok 2, Megrez, Solar Open"
    ),
    Row(
      text: qwen35,
      pattern: WordPattern(
        contractions: .folded,
        prefix: .except([.letters, .numbers]),
        letters: [.letters, .mark],
        numbersMax: 1,
        others: .except([.letters, .mark, .numbers, .whitespace]),
        following: .newlines,
        newlines: .runs
      ),
      users: "Qwen 3.5"
    ),
    Row(
      text: seedCoder,
      pattern: WordPattern(
        contractions: .folded,
        prefix: .except([.letters, .numbers]),
        numbersMax: 1,
        newlines: .runs
      ),
      users: "Seed-Coder"
    ),
    Row(text: bailing, pattern: ofGPT4(1), users: "Ling (BailingMoE), LLaDA-MoE"),
    Row(text: miniCPM5, pattern: ofGPT4(.max), users: "MiniCPM 5, after numbers"),
    Row(
      text: ufakzeka,
      pattern: WordPattern(
        prefix: .except([.letters, .numbers]),
        numbersMax: 1,
        following: .newlines,
        newlines: .runs
      ),
      users: "Ufakzeka"
    ),
    Row(
      text: exaoneMoE,
      pattern: WordPattern(
        contractions: .folded,
        prefix: .except([.letters, .numbers]),
        joinsWords: true,
        numbersMax: 1,
        following: .newlineOrSlash,
        newlines: .runs
      ),
      users: "EXAONE MoE"
    ),
    Row(
      text: o200k,
      pattern: ofGPT4o(.foldedSuffix, 3),
      users:
        "GPT-4o and o1 (o200k_base), gpt-oss (o200k_harmony), Llama 4, MiniMax M2, Kanana 2, Tiny Aya"
    ),
    Row(text: youtu, pattern: ofGPT4o(.foldedSuffix, 1), users: "Youtu, after its scripts"),
    Row(text: tekken, pattern: ofGPT4o(.none, 1), users: "Mistral Nemo and later (Tekken)"),
    Row(
      text: kimiK2,
      pattern: WordPattern(
        contractions: .foldedSuffix,
        prefix: .except([.letters, .numbers]),
        lettersExcept: .han,
        isCased: true,
        hanRuns: true,
        numbersMax: 3,
        following: .newlines,
        newlines: .runs
      ),
      users: "Kimi K2"
    ),
    Row(
      text: deepSeekV3,
      pattern: ofDeepSeek,
      users: "DeepSeek V2 to V3 and R1, Hunyuan dense, AFMoE, JoyAI, after numbers and CJK"
    ),
    Row(
      text: spark,
      pattern: WordPattern(
        prefix: ofDeepSeek.prefix,
        letters: ofDeepSeek.letters,
        punctuatedWords: true,
        numbersMax: 0,
        others: ofDeepSeek.others,
        newlines: .single
      ),
      users: "Spark 2.5, after numbers and CJK"
    ),
  ]
}
