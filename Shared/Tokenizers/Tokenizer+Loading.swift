import JSON

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

extension Tokenizer {
  /// Reads a model folder: `tokenizer.json` and, if they are there, `tokenizer_config.json` and
  /// `chat_template.jinja`.
  /// - Throws: an error that names the file: `invalidFile`, `unsupported` or `limitExceeded`.
  package init(folder: String) throws(TokenizerError) {
    guard let json = try Self.readFile("\(folder)/tokenizer.json") else {
      throw TokenizerError(.invalidFile, "\(folder)/tokenizer.json does not exist")
    }
    let config = try Self.readFile("\(folder)/tokenizer_config.json")
    var chatTemplate: String?
    if let bytes = try Self.readFile("\(folder)/chat_template.jinja") {
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw TokenizerError(.invalidFile, "\(folder)/chat_template.jinja is not UTF-8")
      }
      chatTemplate = text
    }
    try self.init(
      root: try JSONSection(file: json, name: Self.fileName),
      chat: try ChatTemplate(
        config: config,
        chatTemplate: chatTemplate,
        additional: try Self.additionalTemplates("\(folder)/additional_chat_templates")
      )
    )
  }

  /// Templates beside the usual one, each in a file of its name.
  private static let additionalTemplatesMax = 64

  private static func additionalTemplates(
    _ folder: String
  ) throws(TokenizerError) -> [(name: String, template: String)] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasSuffix(".jinja") { names.append(name) }
      guard names.count <= additionalTemplatesMax else {
        throw TokenizerError(
          .limitExceeded,
          "\(folder) has over \(additionalTemplatesMax) templates"
        )
      }
    }
    var templates: [(name: String, template: String)] = []
    for name in names.sorted() {
      guard let bytes = try readFile("\(folder)/\(name)") else { continue }
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw TokenizerError(.invalidFile, "\(folder)/\(name) is not UTF-8")
      }
      templates.append((String(name.dropLast(".jinja".count)), text))
    }
    return templates
  }

  /// Builds a tokenizer from the contents of `tokenizer.json`, `tokenizer_config.json` and
  /// `chat_template.jinja`.
  /// - Throws: `invalidFile`, `unsupported` (naming the component) or `limitExceeded`.
  package init(
    json: [UInt8],
    config: [UInt8]? = nil,
    chatTemplate: String? = nil
  ) throws(TokenizerError) {
    try self.init(
      root: try JSONSection(file: json, name: Self.fileName),
      chat: try ChatTemplate(config: config, chatTemplate: chatTemplate)
    )
  }

  private static let fileName = "tokenizer.json"

  /// Builds a tokenizer from what a `tokenizer.json` says.
  init(root: JSONSection, chat: ChatTemplate?) throws(TokenizerError) {
    let name = root.path
    if let version = try root.optionalWord("version"), version != "1.0" {
      throw TokenizerError(.unsupported, "\(name): version \"\(version)\" is not supported")
    }
    guard let modelSection = try root.section("model") else {
      throw TokenizerError(.invalidFile, "\(name).model is missing")
    }
    let model = try Model(modelSection)
    let normalizer = try root.section("normalizer").map(Normalizer.init)
    let preTokenizer = try Self.preTokenizer(root, for: model)
    guard let decoder = try root.section("decoder").map(Decoder.init) else {
      throw TokenizerError(.unsupported, "\(name): a tokenizer without decoder is not supported")
    }
    let addedTokens = try AddedTokens(
      root.object["added_tokens"] == nil ? [] : root.array("added_tokens"),
      model.vocabulary,
      normalizer,
      path: "\(name).added_tokens"
    )
    pipeline = Pipeline(
      addedTokens: addedTokens,
      normalizer: normalizer,
      preTokenizer: preTokenizer,
      model: model,
      postProcessor: try root.section("post_processor").map(PostProcessor.init),
      decoder: decoder,
      chat: chat
    )
  }

  /// The pre-tokenizer, which must give the model what it reads: text or bytes.
  private static func preTokenizer(
    _ root: JSONSection,
    for model: Model
  ) throws(TokenizerError) -> PreTokenizer {
    guard let section = try root.section("pre_tokenizer") else {
      throw TokenizerError(
        .unsupported,
        "\(root.path): a tokenizer without pre_tokenizer is not supported"
      )
    }
    let preTokenizer = try PreTokenizer(section)
    switch (preTokenizer, model) {
    case (.byteLevel, .bpe), (.bert, .wordPiece): return preTokenizer
    case (.bert, .bpe), (.byteLevel, .wordPiece):
      throw TokenizerError(
        .unsupported,
        "\(section.path): this pre_tokenizer is not supported with this type of model"
      )
    }
  }

  /// The bytes of a file; nil if there is none.
  private static func readFile(_ path: String) throws(TokenizerError) -> [UInt8]? {
    // O_NONBLOCK: opening a named pipe must not wait for its writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw TokenizerError(
        .invalidFile,
        "\(path) cannot be opened: \(String(cString: strerror(errno)))"
      )
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw TokenizerError(.invalidFile, "\(path) is not a regular file")
    }
    guard status.st_size <= TokenizerLimits.fileBytesMax else {
      throw TokenizerError(
        .limitExceeded,
        "\(path) has \(status.st_size) bytes, the limit is \(TokenizerLimits.fileBytesMax)"
      )
    }
    let size = Int(status.st_size)
    var isDamaged = false
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      while count < size {
        let got = read(descriptor, buffer.baseAddress.map { $0 + count }, size - count)
        if got < 0 && errno == EINTR { continue }
        guard got > 0 else {
          isDamaged = true
          return
        }
        count += got
      }
    }
    guard !isDamaged else { throw TokenizerError(.invalidFile, "\(path) could not be read whole") }
    return bytes
  }
}
