import Files
internal import FoundationEssentials

/// The checkpoints of a run: the two newest, so that one that the disk damaged can be replaced, and
/// the best weights that they name.
struct CheckpointFolder {
  let path: String

  /// Checkpoints that are kept.
  static let keptCount = 2
  private static let stepPrefix = "step-"
  private static let bestPrefix = "best-"
  private static let suffix = ".checkpoint"

  typealias Arrays = [(name: String, values: UnsafeBufferPointer<Float>)]

  init(path: String) throws(TrainerError) {
    self.path = path
    try FileSystem.createDirectories(path)
  }

  private func file(_ prefix: String, _ step: Int) -> String {
    let digits = String(step)
    let padding = String(repeating: "0", count: max(0, 9 - digits.count))
    return "\(path)/\(prefix)\(padding)\(digits)\(Self.suffix)"
  }

  /// The steps of the files with `prefix`, in rising order.
  private func steps(_ prefix: String) throws(TrainerError) -> [Int] {
    try FileSystem.entries(of: path).compactMap { name in
      guard name.hasPrefix(prefix), name.hasSuffix(Self.suffix) else { return nil }
      return Int(name.dropFirst(prefix.count).dropLast(Self.suffix.count))
    }.sorted()
  }

  /// Writes the checkpoint of `state` and removes what it replaces.
  func write(_ state: TrainingState, _ arrays: Arrays) throws(TrainerError) {
    try CheckpointFile.write(
      file(Self.stepPrefix, state.step),
      header: try Self.encode(state),
      arrays: arrays
    )
    try removeAllButNewest(Self.stepPrefix)
    // Kept best weights are followed by a checkpoint, so the newest two name the newest two.
    try removeAllButNewest(Self.bestPrefix)
  }

  private func removeAllButNewest(_ prefix: String) throws(TrainerError) {
    for step in try steps(prefix).dropLast(Self.keptCount) {
      try FileSystem.removeTree(file(prefix, step))
    }
  }

  /// Writes the weights that are the best so far.
  func writeBest(step: Int, _ arrays: Arrays) throws(TrainerError) {
    try CheckpointFile.write(file(Self.bestPrefix, step), header: [], arrays: arrays)
  }

  /// The weights of the best result; throws `storage` when they are damaged or missing.
  func readBest(step: Int) throws(TrainerError) -> CheckpointFile.Content {
    guard let content = try CheckpointFile.Content(path: file(Self.bestPrefix, step)) else {
      throw TrainerError(.storage, "\(file(Self.bestPrefix, step)) is damaged")
    }
    return content
  }

  /// What a run goes on from.
  struct Found {
    let state: TrainingState
    let content: CheckpointFile.Content
    /// Newer checkpoints that are damaged.
    let damaged: [String]
  }

  /// The newest whole checkpoint; nil if there is none.
  ///
  /// Newer files are removed: they are damaged, or hold results that the run will compute again.
  /// - Throws: `checkpointMismatch` when it is one of another run; the folder then stays as it is.
  func newest(of identity: TrainingState.Identity) throws(TrainerError) -> Found? {
    var damaged: [String] = []
    for step in try steps(Self.stepPrefix).reversed() {
      let path = file(Self.stepPrefix, step)
      guard let content = try CheckpointFile.Content(path: path),
        let state = Self.decode(content.header), try hasBest(state)
      else {
        damaged.append(path)
        continue
      }
      try Self.check(state.identity, identity, path)
      for path in damaged { try FileSystem.removeTree(path) }
      for best in try steps(Self.bestPrefix) where best > state.step {
        try FileSystem.removeTree(file(Self.bestPrefix, best))
      }
      return Found(state: state, content: content, damaged: damaged)
    }
    return nil
  }

  /// Whether the best weights that a checkpoint names are there and whole.
  private func hasBest(_ state: TrainingState) throws(TrainerError) -> Bool {
    guard let step = state.bestWeightsStep else { return true }
    let path = file(Self.bestPrefix, step)
    guard FileSystem.isFile(path) else { return false }
    return try CheckpointFile.Content(path: path) != nil
  }

  private static func check(
    _ found: TrainingState.Identity,
    _ expected: TrainingState.Identity,
    _ path: String
  ) throws(TrainerError) {
    var differences: [String] = []
    if found.configuration != expected.configuration { differences.append("configuration") }
    if found.data != expected.data { differences.append("data") }
    if found.model != expected.model { differences.append("base model") }
    guard differences.isEmpty else {
      throw TrainerError(
        .checkpointMismatch,
        "\(path) belongs to a run with another \(differences.joined(separator: " and "))"
      )
    }
  }

  /// Removes all checkpoints.
  func removeAll() throws(TrainerError) { try FileSystem.removeTree(path) }

  private static func encode(_ state: TrainingState) throws(TrainerError) -> [UInt8] {
    do {
      return Array(try JSONEncoder().encode(state))
    } catch {
      throw TrainerError(
        .internal,
        "the state of the run cannot be encoded: \(error)",
        cause: error
      )
    }
  }

  private static func decode(_ bytes: [UInt8]) -> TrainingState? {
    try? JSONDecoder().decode(TrainingState.self, from: Data(bytes))
  }
}
