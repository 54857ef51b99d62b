extension SplitPattern {
  /// The patterns that a GGUF file's `tokenizer.ggml.pre` names, to be applied one after the other;
  /// nil for a name that is not known.
  ///
  /// The names are llama.cpp's. Where it approximates a model's own pattern with what C++'s regular
  /// expressions can do, this is the model's own, by which the model was trained.
  package static func sequence(
    forGGUF name: String
  ) throws(TokenizerError) -> [SplitPattern]? {
    guard let texts = GGUFPatterns.texts(of: name) else { return nil }
    var patterns: [SplitPattern] = []
    for text in texts { patterns.append(try SplitPattern(text)) }
    return patterns
  }

  /// Every name that `sequence(forGGUF:)` knows.
  package static var namesInGGUF: [String] { GGUFPatterns.rows.flatMap(\.names) }
}

/// llama.cpp's names of patterns.
enum GGUFPatterns {
  static func texts(of name: String) -> [String]? {
    rows.first { $0.names.contains(name) }?.texts
  }

  private static let digit = #"\p{N}"#
  private static let threeASCIIDigits = "[0-9][0-9][0-9]"
  private static let deepSeekHan = "[\u{4E00}-\u{9FA5}\u{800}-\u{4E00}\u{AC00}-\u{D7FF}]+"
  private static let deepSeekCJK = "[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+"
  private static let bloom = " ?[^(\\s|.,!?\u{2026}\u{3002}\u{FF0C}\u{3001}\u{964}\u{6D4}\u{60C})]+"

  static let rows: [(names: [String], texts: [String])] = [
    (
      ["default"],
      [#"[\p{P}\$\+<=>\^~\|]+"#, KnownPatterns.gpt2, #"\p{N}+"#, threeASCIIDigits]
    ),
    (
      [
        "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0",
        "mellum", "modern-bert", "jina-v1-en", "jina-v2-code", "roberta-bpe", "exaone4", "mpt",
        "olmo", "jais", "trillion", "granite-docling",
      ],
      [KnownPatterns.gpt2]
    ),
    (
      [
        "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
        "jina-v5-nano", "dbrx", "smaug-bpe", "glm4", "chatglm-bpe",
      ],
      [KnownPatterns.llama3]
    ),
    (
      [
        "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan",
        "solar-open", "grok-2",
      ],
      [KnownPatterns.qwen2]
    ),
    (["qwen35"], [KnownPatterns.qwen35]),
    (
      [
        "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b",
        "mellum2",
      ],
      [digit, KnownPatterns.gpt2]
    ),
    (["falcon"], [#"[\p{P}\$\+<=>\^~\|`]+"#, KnownPatterns.gpt2, threeASCIIDigits]),
    (
      ["deepseek-llm"],
      [
        #"[\r\n]"#, deepSeekLetters, deepSeekPunctuation, #"\s+$"#, deepSeekHan, #"\p{N}+"#,
      ]
    ),
    (["deepseek-coder"], [#"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, deepSeekHan, digit]),
    (
      ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
      [#"\p{N}{1,3}"#, deepSeekCJK, KnownPatterns.deepSeekV3]
    ),
    (["spark2_5"], [#"\p{N}{1,3}"#, deepSeekCJK, KnownPatterns.spark, digit]),
    (
      ["youtu"],
      [
        "[\u{AC00}-\u{D7A3}\u{3131}-\u{318E}]+|[\u{FF01}\u{2026}\u{201C}\u{201D}\u{2018}\u{2019}\u{2014}\u{FF1A}\u{FF1B}\u{FF0C}\u{3001}-\u{303F}\u{FE30}-\u{FE4F}]+"
          + "|[\u{3105}-\u{312F}]+|[\u{4E00}-\u{9FA5}\u{3040}-\u{309F}\u{30A0}-\u{30FF}]+",
        KnownPatterns.youtu,
      ]
    ),
    (["poro-chat", "bloom", "gpt3-finnish"], [bloom]),
    (["viking"], [bloom, digit]),
    (["tekken"], [KnownPatterns.tekken]),
    (
      ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2", "granite-embed-multi-97m"],
      [KnownPatterns.o200k]
    ),
    (["tiny_aya", "cohere2moe"], [#"\d{1,3}(?=(?:\d{3})*\b)"#, KnownPatterns.o200k]),
    (["kimi-k2"], [KnownPatterns.kimiK2]),
    (["superbpe"], [#"\p{N}+"#, #"(?=(\d{3})+(?!\d))"#]),
    (["bailingmoe", "bailingmoe2", "llada-moe"], [KnownPatterns.bailing]),
    (["seed-coder"], [KnownPatterns.seedCoder]),
    (["ufakzeka"], [KnownPatterns.ufakzeka]),
    (["minicpm5"], [#"\p{N}{1,3}"#, KnownPatterns.miniCPM5]),
    (["exaone-moe"], [KnownPatterns.exaoneMoE]),
    (["laguna"], [#"[^\n]+|[\n]+"#, KnownPatterns.qwen2]),
    (["gemma4", "granite-embed-multi-311m", "sarvam-moe"], [#"[^\n]+|[\n]+"#]),
    (["whitespace"], [#"\S+"#]),
    (
      ["jais-2"],
      [
        KnownPatterns.llama3.replacingTail(
          #"\s+(?!\S)|\s+"#,
          with:
            #"\s{512}(?!\S)|\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|"#
            + #"\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}"#
        )
      ]
    ),
    (
      ["chameleon"],
      [
        "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", #"([\t\n]|    |  )"#, digit,
        #"[\p{P}!-/:-@\[-`{-~]"#, KnownPatterns.gpt2,
      ]
    ),
    (
      ["afmoe"],
      [
        afmoeNumbers,
        "[\u{4E00}-\u{9FFF}\u{3400}-\u{4DBF}\u{F900}-\u{FAFF}\u{3040}-\u{309F}\u{30A0}-\u{30FF}\u{FF65}-\u{FF9F}"
          + "\u{2F00}-\u{2FDF}\u{E40}-\u{E7F}\u{E80}-\u{EFF}\u{1780}-\u{17FF}\u{1000}-\u{109F}\u{AA60}-\u{AA7F}"
          + "\u{A9E0}-\u{A9FF}\u{AC00}-\u{D7AF}\u{1100}-\u{11FF}]+",
        KnownPatterns.deepSeekV3,
      ]
    ),
  ]

  /// Groups of three from the right; the first may be shorter.
  private static let afmoeNumbers = #"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"#

  private static let deepSeekPunctuation =
    "\\s?[!-/:-~\u{FF01}-\u{FF0F}\u{FF1A}-\u{FF5E}\u{2018}-\u{201F}\u{3000}-\u{3002}]+"

  private static let deepSeekLetters =
    "\\s?[A-Za-z"
    + "\u{B5}\u{C0}-\u{D6}\u{D8}-\u{F6}\u{F8}-\u{1BA}\u{1BC}-\u{1BF}\u{1C4}-\u{293}"
    + "\u{295}-\u{2AF}\u{370}-\u{373}\u{376}\u{377}\u{37B}-\u{37D}\u{37F}\u{386}"
    + "\u{388}-\u{38A}\u{38C}\u{38E}-\u{3A1}\u{3A3}-\u{3F5}\u{3F7}-\u{481}\u{48A}-\u{52F}"
    + "\u{531}-\u{556}\u{10A0}-\u{10C5}\u{13A0}-\u{13F5}\u{13F8}-\u{13FD}\u{1C90}-\u{1CBA}"
    + "\u{1CBD}-\u{1CBF}\u{1D00}-\u{1D2B}\u{1D6B}-\u{1D77}\u{1D79}-\u{1D9A}"
    + "\u{1E00}-\u{1F15}\u{1F18}-\u{1F1D}\u{1F20}-\u{1F45}\u{1F48}-\u{1F4D}"
    + "\u{1F50}-\u{1F57}\u{1F59}\u{1F5B}\u{1F5D}\u{1F5F}-\u{1F7D}\u{1F80}-\u{1FB4}"
    + "\u{1FB6}-\u{1FBC}\u{1FBE}\u{1FC2}-\u{1FC4}\u{1FC6}-\u{1FCC}\u{1FD0}-\u{1FD3}"
    + "\u{1FD6}-\u{1FDB}\u{1FE0}-\u{1FEC}\u{1FF2}-\u{1FF4}\u{1FF6}-\u{1FFC}\u{2102}\u{2107}"
    + "\u{210A}-\u{2113}\u{2115}\u{2119}-\u{211D}\u{2124}\u{2126}\u{2128}\u{212A}-\u{212D}"
    + "\u{212F}-\u{2134}\u{2139}\u{213C}-\u{213F}\u{2145}-\u{2149}\u{214E}\u{2183}\u{2184}"
    + "\u{2C00}-\u{2C7B}\u{2C7E}-\u{2CE4}\u{2CEB}-\u{2CEE}\u{2CF2}\u{2CF3}\u{A640}-\u{A66D}"
    + "\u{A680}-\u{A69B}\u{A722}-\u{A76F}\u{A771}-\u{A787}\u{A78B}-\u{A78E}"
    + "\u{AB70}-\u{ABBF}\u{FB00}-\u{FB06}\u{FB13}-\u{FB17}\u{FF21}-\u{FF3A}"
    + "\u{FF41}-\u{FF5A}\u{10400}-\u{1044F}\u{104B0}-\u{104D3}\u{104D8}-\u{104FB}"
    + "\u{10C80}-\u{10CB2}\u{10CC0}-\u{10CF2}\u{118A0}-\u{118DF}\u{1E900}-\u{1E943}]+"
}

extension String {
  /// The string with `tail`, by which it ends, replaced.
  fileprivate func replacingTail(_ tail: String, with other: String) -> String {
    precondition(hasSuffix(tail))
    return dropLast(tail.count) + other
  }
}
