import ServiceAPI

/// A model that clients can name.
struct Model: Sendable, Equatable {
  /// What a model does, as the registry writes it.
  enum Task {
    static let textGeneration = "text-generation"
    static let tokenClassification = "token-classification"
    static let textClassification = "text-classification"
  }

  var name: String
  var version: UInt32
  /// SHA-256 of the version's files.
  var digest: String
  var task: String
  var aliases: [String]
  /// The longest input, in tokens.
  var contextTokens: Int
  /// Seconds since 1970.
  var created: Int64

  /// The name of this one version: what the services behind are asked for.
  var pinned: String { "\(name)@\(version)" }

  init(_ version: RegistryV1.ModelVersion) {
    name = version.name
    self.version = version.version
    digest = version.digest
    task = version.task
    aliases = version.aliases
    contextTokens = Int(version.contextTokens)
    created = version.createdAtMs / 1000
  }
}

/// All versions of all models, as the registry listed them.
struct ModelList: Sendable, Equatable {
  private let versions: [String: [Model]]

  init(_ models: [Model]) {
    versions = Dictionary(grouping: models, by: \.name)
      .mapValues { $0.sorted { $0.version < $1.version } }
  }

  /// One version of each model: what its bare name means, by name.
  var models: [Model] { versions.keys.sorted().compactMap { self[$0] } }

  /// What `name`, `name@version` or `name@alias` means, by the registry's rules: a bare name means
  /// its alias "production" and, without one, its newest version.
  subscript(reference: String) -> Model? {
    let parts = reference.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    guard let all = versions[String(parts[0])] else { return nil }
    guard parts.count == 2 else {
      return all.last { $0.aliases.contains("production") } ?? all.last
    }
    let tag = String(parts[1])
    if let version = UInt32(tag) { return all.first { $0.version == version } }
    return all.last { $0.aliases.contains(tag) }
  }
}
