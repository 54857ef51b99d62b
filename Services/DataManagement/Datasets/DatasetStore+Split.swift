import Databases
import Files
package import Store

/// How the rows of a version are shared out.
package struct SplitOptions: Sendable {
  /// One new split.
  package struct Share: Sendable, Equatable {
    /// Its name.
    package var name: String
    /// Its share of the rows, above 0.
    package var fraction: Double

    /// A share with its values.
    package init(name: String, fraction: Double) {
      self.name = name
      self.fraction = fraction
    }
  }

  /// The splits to share out; empty: all.
  package var from: [String] = []
  /// The new splits; their fractions make 1.
  package var shares: [Share]
  /// Decides which row goes where.
  package var seed: UInt64
  /// Whether each label is shared out by itself.
  package var isStratified = false

  /// Options from their values.
  package init(shares: [Share], seed: UInt64) {
    self.shares = shares
    self.seed = seed
  }
}

extension DatasetStore {
  /// Makes a version whose splits share out the rows of another one: every row is in exactly one, and each has
  /// its share of the rows, or of each label's rows, within one row.
  ///
  /// The same request on the same version makes the same splits, hence the same version. Rows are not copied.
  /// Cancelling the task ends it between two rows.
  ///
  /// - Throws: `invalidArgument` for shares that do not fit, `notFound`, `failedPrecondition` for a split
  ///   that would have no rows, `dataLoss`.
  package func split(
    _ reference: String,
    _ options: SplitOptions
  ) async throws(DataError) -> DatasetVersion {
    let version = try await resolve(reference)
    let from = options.from.isEmpty ? version.splits.map(\.name) : options.from
    try check(options, from, of: version)
    let staging = try claimWriter("split \(version.reference)")
    defer { releaseWriter() }
    return try await BlockingWorker(label: "split", pendingMax: 1).run { () throws(DataError) in
      defer { try? FileSystem.removeTree(staging) }
      return try self.splitBlocking(version, from, options, staging)
    }
  }

  private func check(
    _ options: SplitOptions,
    _ from: [String],
    of version: DatasetVersion
  ) throws(DataError) {
    let operation = "split \(version.reference)"
    for name in from { _ = try version.split(name) }
    guard Set(from).count == from.count else {
      throw DataError(.invalidArgument, "\(operation): a split to share out is named twice")
    }
    guard !options.shares.isEmpty, options.shares.allSatisfy({ $0.fraction > 0 }) else {
      throw DataError(.invalidArgument, "\(operation): every share must be above 0")
    }
    let sum = options.shares.reduce(0) { $0 + $1.fraction }
    guard abs(sum - 1) < 1e-6 else {
      throw DataError(.invalidArgument, "\(operation): the shares make \(sum), not 1")
    }
    let kept = version.splits.map(\.name).filter { !from.contains($0) }
    var names = Set(kept)
    for share in options.shares {
      try DatasetReference.validateName(share.name, "split name")
      guard names.insert(share.name).inserted else {
        throw DataError(.invalidArgument, "\(operation): split \(share.name) is there twice")
      }
    }
    guard names.count <= limits.splitsMax else {
      throw DataError(.resourceExhausted, "\(operation): more than \(limits.splitsMax) splits")
    }
    let hasStrata =
      version.kind == .sequenceClassification
      || (version.kind == .tokenClassification && version.tagScheme != .plain)
    guard !options.isStratified || hasStrata else {
      throw DataError(
        .invalidArgument,
        "\(operation): its rows have no labels to stratify by; split it at random"
      )
    }
  }

  private func splitBlocking(
    _ version: DatasetVersion,
    _ from: [String],
    _ options: SplitOptions,
    _ staging: String
  ) throws(DataError) -> DatasetVersion {
    let sources = from.sorted()
    try FileSystem.removeTree(staging)
    try FileSystem.createDirectory(staging)
    onStep(.begun)
    var counts: [UInt32: UInt64] = [:]
    for name in sources {
      try forEachRow(of: version, name) { (entry) throws(DataError) in
        counts[options.isStratified ? entry.stratum : 0, default: 0] += 1
      }
    }
    var shares = RowShares(counts: counts, options: options)
    let writer = VersionWriter(
      staging: staging,
      inheritedShards: version.shards.count,
      limits: limits,
      onStep: onStep
    )
    for share in options.shares { try writer.addSplit(share.name) }
    let shards = ShardReader(version, layout: store.layout)
    var parsing = ParserOptions()
    parsing.kind = version.kind
    let decoder = RowDecoder(options: parsing, limits: limits)
    var bytes: [UInt8] = []
    for name in sources {
      try forEachRow(of: version, name) { (entry) throws(DataError) in
        let target = shares.next(options.isStratified ? entry.stratum : 0)
        bytes.removeAll(keepingCapacity: true)
        try shards.append(entry, to: &bytes)
        try writer.record(
          try Self.row(bytes, decoder, version),
          bytes,
          entry,
          in: options.shares[target].name,
          isPlain: version.tagScheme == .plain
        )
      }
    }
    let written = try writer.finish(blobs: store.blobs)
    var draft = version
    draft.splits =
      (written.splits + version.splits.filter { !from.contains($0.name) })
      .sorted { $0.name < $1.name }
    draft.digest = DatasetVersion.digest(of: draft.splits)
    draft.parent = version.version
    draft.origin = Self.origin(options, of: version)
    draft.createdAtMilliseconds = WallClock.milliseconds()
    draft.badRows = 0
    let result = try commit(draft).version
    try? FileSystem.removeTree(staging)
    onStep(.cleaned)
    return result
  }

  private static func origin(_ options: SplitOptions, of version: DatasetVersion) -> String {
    let shares = options.shares.map { "\($0.name)=\($0.fraction)" }.joined(separator: " ")
    let from = options.from.isEmpty ? "" : " from \(options.from.joined(separator: " "))"
    return "split \(version.reference)\(from) \(options.isStratified ? "stratified" : "random") "
      + "seed \(options.seed) \(shares)"
  }

  private static func row(
    _ bytes: [UInt8],
    _ decoder: RowDecoder,
    _ version: DatasetVersion
  ) throws(DataError) -> DatasetRow {
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(RowProblem) in try decoder.row(bytes) }
    }
    switch result {
    case .success(let row): return row
    case .failure(let problem):
      throw DataError(.dataLoss, "dataset \(version.reference): a stored row: \(problem.reason)")
    }
  }

  /// Walks the entries of a split in stored order.
  func forEachRow(
    of version: DatasetVersion,
    _ split: String,
    _ body: (RowEntry) throws(DataError) -> Void
  ) throws(DataError) {
    let split = try version.split(split)
    let index = try RowIndexReader(
      path: store.layout.blob(split.index.sha256),
      split: split.name,
      rows: split.statistics.rows
    )
    for row in 0..<index.count {
      if row.isMultiple(of: 1_024), Task.isCancelled {
        throw DataError(.cancelled, "dataset \(version.reference): cancelled")
      }
      try body(try index.entry(row))
    }
  }
}

/// Deals rows out to splits: each stratum by quotas that are fixed beforehand, each row by chance.
///
/// This is selection sampling (Knuth, The Art of Computer Programming, 3.4.2, algorithm S) with several targets:
/// all ways to deal a stratum out by its quotas are equally likely, and no row is held.
struct RowShares {
  private var quotas: [UInt32: [UInt64]] = [:]
  private var generator: SplitMix64

  /// - Parameters:
  ///   - counts: rows of each stratum.
  ///   - options: fractions and seed.
  init(counts: [UInt32: UInt64], options: SplitOptions) {
    generator = SplitMix64(seed: options.seed)
    let fractions = options.shares.map(\.fraction)
    let sum = fractions.reduce(0, +)
    // What the splits got too little so far: rounding in one stratum is made good in a later one.
    var owed = [Double](repeating: 0, count: fractions.count)
    for (stratum, count) in counts.sorted(by: { $0.key < $1.key }) {
      let ideal = fractions.map { $0 / sum * Double(count) }
      var quota = ideal.map { UInt64($0.rounded(.down)) }
      let left = Int(count - quota.reduce(0, +))
      // Each gets the whole rows of its share, some one more: those that are owed most. A split whose share is
      // whole already is not among them, unless rounding of the fractions leaves too few others.
      let order = fractions.indices.sorted { first, second in
        let firstDue = ideal[first] - Double(quota[first])
        let secondDue = ideal[second] - Double(quota[second])
        if (firstDue > 0) != (secondDue > 0) { return firstDue > 0 }
        let (a, b) = (firstDue + owed[first], secondDue + owed[second])
        return a == b ? first < second : a > b
      }
      for split in order.prefix(left) { quota[split] += 1 }
      for split in fractions.indices { owed[split] += ideal[split] - Double(quota[split]) }
      quotas[stratum] = quota
    }
  }

  /// Where the next row of a stratum goes.
  mutating func next(_ stratum: UInt32) -> Int {
    let quota = quotas[stratum] ?? []
    var rest = generator.next(below: quota.reduce(0, +))
    for (split, rows) in quota.enumerated() {
      if rest < rows {
        quotas[stratum]?[split] -= 1
        return split
      }
      rest -= rows
    }
    preconditionFailure("a stratum has more rows than were counted")
  }
}
