import Digests
package import Store

/// What the registry needs to know of a model folder's content.
package struct ModelDescription: Sendable, Equatable {
  /// `text-generation` or `token-classification`.
  package var task: String
  /// The config's `model_type`, for example `llama`.
  package var architecture: String
  /// The longest input in tokens.
  package var contextTokens: Int

  /// A description with its values.
  package init(task: String, architecture: String, contextTokens: Int) {
    self.task = task
    self.architecture = architecture
    self.contextTokens = contextTokens
  }
}

/// One figure of a version's evaluation.
package struct ModelMetric: Sendable, Equatable {
  /// Its name, for example `test_f1`.
  package let name: String
  /// Its value; finite.
  package let value: Double

  /// A metric with its value.
  package init(name: String, value: Double) {
    self.name = name
    self.value = value
  }
}

/// What a version was made of.
package struct ModelLineage: Sendable, Equatable {
  /// `name@version` of the training data.
  package var dataset = ""
  /// The data's digest.
  package var datasetDigest = ""
  /// The job that trained it.
  package var jobID = ""
  /// `name@version` of the model it was fine-tuned from; empty: from scratch.
  package var baseModel = ""
  /// That model's digest.
  package var baseModelDigest = ""
  /// The job's configuration: a JSON object.
  package var configurationJSON = ""

  /// An empty one.
  package init() {}

  /// A lineage with all its values.
  package init(
    dataset: String,
    datasetDigest: String,
    jobID: String,
    baseModel: String,
    baseModelDigest: String,
    configurationJSON: String
  ) {
    self.dataset = dataset
    self.datasetDigest = datasetDigest
    self.jobID = jobID
    self.baseModel = baseModel
    self.baseModelDigest = baseModelDigest
    self.configurationJSON = configurationJSON
  }
}

/// One registered version of a model; immutable but for its aliases.
package struct ModelVersion: Sendable, Equatable {
  /// The model's name.
  package let name: String
  /// Counts from 1 for each name; never used twice.
  package let version: UInt32
  /// SHA-256 over the sorted file names and their digests; see `digest(of:)`.
  package let digest: String
  /// Task, architecture and context length.
  package let description: ModelDescription
  /// The files, sorted by name.
  package let files: [StoredFile]
  /// The folder that holds the files: absolute, in the store, not to be written to.
  package let path: String
  /// The aliases that point here, sorted.
  package let aliases: [String]
  /// Milliseconds since 1970-01-01 UTC.
  package let createdAtMilliseconds: Int64
  /// What its evaluation gave, in the order of its registration.
  package let metrics: [ModelMetric]
  /// Where it comes from; nil for an imported folder.
  package let lineage: ModelLineage?

  /// The digest of a set of files: SHA-256 of the lines `<sha256>  <name>` sorted by name (bytewise).
  ///
  /// That is what `sha256sum` prints, so in a version's folder `LC_ALL=C sha256sum -- * | sha256sum`
  /// prints the same digest.
  static func digest(of files: [StoredFile]) -> String {
    sha256(ofListing: files.map { ($0.name, $0.sha256) })
  }
}
