import ArgumentParser
import RPC
import ServiceAPI

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// `llmos data`: the datasets.
struct DataCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data",
    abstract: "Imports, describes, splits and compares datasets.",
    subcommands: [
      List.self, Show.self, Import.self, Split.self, Diff.self, Export.self, Delete.self,
    ],
    defaultSubcommand: List.self
  )
}

extension DataCommand {
  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists all versions of all datasets.")

    @OptionGroup var service: DataServiceOptions

    func run() async throws {
      let versions = try await service.callDatasets { try await $0.listDatasets(.init()).versions }
      Output.table(
        [["DATASET", "KIND", "ROWS", "TOKENS", "SPLITS", "ORIGIN"]]
          + versions.map { version in
            [
              version.reference, version.kind.title, "\(version.rows)", "\(version.tokens)",
              version.splits.map { "\($0.name)=\($0.rows)" }.joined(separator: " "),
              version.origin,
            ]
          }
      )
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Describes a dataset: schema, labels, splits, and some rows."
    )

    @OptionGroup var service: DataServiceOptions
    @Option(help: "Rows to show.") var rows = 3
    @Option(help: "The split whose rows are shown (default: the first).") var split: String?
    @Argument(help: "A name (its newest version) or name@version.") var dataset: String

    func run() async throws {
      var request = DatasetsV1.GetDatasetRequest()
      request.dataset = dataset
      let version = try await service.callDatasets { [request] in
        try await $0.getDataset(request)
      }
      show(version)
      guard rows > 0, let split = split ?? version.splits.first?.name else { return }
      var read = DatasetsV1.ReadRequest()
      (read.dataset, read.split, read.rowsMax) = (version.reference, split, UInt64(rows))
      Output.line("")
      try await service.callDatasets { [read] client in
        for try await batch in try await client.read(read) {
          Output.fragment(String(decoding: batch.rows, as: UTF8.self))
        }
      }
    }

    private func show(_ version: DatasetsV1.DatasetVersion) {
      var rows = [
        ["dataset", version.reference], ["kind", version.kind.title],
        ["rows", "\(version.rows)"], ["tokens", "\(version.tokens)"],
      ]
      if let scheme = version.tagScheme.title { rows.append(["tags", scheme]) }
      if let lengths = version.lengths {
        rows.append([
          "lengths",
          "\(lengths.min) to \(lengths.max), mean \((lengths.mean * 10).rounded() / 10), "
            + "half up to \(lengths.p50), 95% up to \(lengths.p95), 99% up to \(lengths.p99)",
        ])
      }
      rows += [["digest", version.digest], ["origin", version.origin]]
      if version.parent > 0 { rows.append(["parent", "\(version.name)@\(version.parent)"]) }
      if version.badRows > 0 { rows.append(["left out", "\(version.badRows) bad rows"]) }
      Output.table(rows)
      Output.line("")
      Output.table(
        [["SPLIT", "ROWS", "TOKENS", "BYTES", "SHA-256"]]
          + version.splits.map {
            [$0.name, "\($0.rows)", "\($0.tokens)", "\($0.bytes)", $0.sha256]
          }
      )
      counts("ENTITY", version, version.entities, \.entities)
      counts("LABEL", version, version.labels, \.labels)
    }

    /// A table of counts, over all and by split.
    private func counts(
      _ title: String,
      _ version: DatasetsV1.DatasetVersion,
      _ totals: [DatasetsV1.LabelCount],
      _ path: KeyPath<DatasetsV1.Split, [DatasetsV1.LabelCount]>
    ) {
      guard !totals.isEmpty else { return }
      let bySplit = version.splits.map { split in
        Dictionary(split[keyPath: path].map { ($0.name, $0.count) }) { first, _ in first }
      }
      Output.line("")
      Output.table(
        [[title, "ALL"] + version.splits.map { $0.name.uppercased() }]
          + totals.map { label in
            [label.name, "\(label.count)"] + bySplit.map { "\($0[label.name] ?? 0)" }
          }
      )
    }
  }

  struct Split: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Makes a version whose splits share out the rows of another one.",
      discussion: "Example: llmos data split cards --share train=0.9 --share dev=0.1 --stratified"
    )

    @OptionGroup var service: DataServiceOptions
    @Option(
      help: ArgumentHelp(
        "A new split and its share of the rows; all shares make 1.",
        valueName: "name=fraction"
      )
    )
    var share: [String] = []
    @Option(help: "A split to share out (default: all); the others stay as they are.")
    var from: [String] = []
    @Option(help: "Decides which row goes where.") var seed: UInt64 = 0
    @Flag(help: "Share out each label by itself.") var stratified = false
    @Argument(help: "A name (its newest version) or name@version.") var dataset: String

    func run() async throws {
      var request = DatasetsV1.SplitDatasetRequest()
      request.dataset = dataset
      request.from = from
      request.seed = seed
      request.stratified = stratified
      request.shares = try share.map { text in
        let (name, value) = try KeyValue.parse(text, "--share")
        guard let fraction = Double(value) else {
          throw ValidationError("--share \(text): \(value) is not a number")
        }
        var share = DatasetsV1.SplitShare()
        (share.name, share.fraction) = (name, fraction)
        return share
      }
      let version = try await service.callDatasets { [request] in
        try await $0.splitDataset(request)
      }
      Output.line("made \(version.reference)")
      Output.table(
        [["SPLIT", "ROWS", "TOKENS"]]
          + version.splits.map { [$0.name, "\($0.rows)", "\($0.tokens)"] }
      )
    }
  }

  struct Diff: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Compares two versions: rows that came, went, stayed and moved between splits."
    )

    @OptionGroup var service: DataServiceOptions
    @Option(help: "Rows to show of each kind, at most 100.") var rows: UInt32 = 5
    @Argument(help: "What to start from: name@version.") var older: String
    @Argument(help: "What to go to: name or name@version.") var newer: String

    func run() async throws {
      var request = DatasetsV1.DiffDatasetsRequest()
      (request.older, request.newer, request.rowsMax) = (older, newer, rows)
      let diff = try await service.callDatasets { [request] in
        try await $0.diffDatasets(request)
      }
      Output.line(
        "\(diff.older?.reference ?? older) to \(diff.newer?.reference ?? newer): \(diff.added) added, "
          + "\(diff.removed) removed, \(diff.unchanged) unchanged, \(diff.moved) of them moved"
      )
      for label in diff.labelsAdded { Output.line("+ label \(label)") }
      for label in diff.labelsRemoved { Output.line("- label \(label)") }
      for row in diff.addedRows { Output.line("+ \(String(decoding: row, as: UTF8.self))") }
      for row in diff.removedRows { Output.line("- \(String(decoding: row, as: UTF8.self))") }
    }
  }

  struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Writes the rows of a split as JSON Lines to standard output."
    )

    @OptionGroup var service: DataServiceOptions
    @Option(help: "The split.") var split = "train"
    @Option(help: "Shuffle by this seed (default: stored order).") var seed: UInt64?
    @Argument(help: "A name (its newest version) or name@version.") var dataset: String

    func run() async throws {
      var read = DatasetsV1.ReadRequest()
      (read.dataset, read.split) = (dataset, split)
      (read.shuffled, read.seed) = (seed != nil, seed ?? 0)
      try await service.callDatasets { [read] client in
        for try await batch in try await client.read(read) {
          Output.fragment(String(decoding: batch.rows, as: UTF8.self))
        }
      }
    }
  }

  struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Removes a version of a dataset.")

    @OptionGroup var service: DataServiceOptions
    @Argument(help: "name@version.") var dataset: String

    func run() async throws {
      var request = DatasetsV1.DeleteDatasetRequest()
      request.dataset = dataset
      _ = try await service.callDatasets { [request] in try await $0.deleteDataset(request) }
      Output.line("removed \(dataset)")
    }
  }
}

/// `key=value` on the command line.
enum KeyValue {
  static func parse(_ text: String, _ option: String) throws -> (key: String, value: String) {
    guard let equals = text.firstIndex(of: "="), equals != text.startIndex,
      text.index(after: equals) != text.endIndex
    else { throw ValidationError("\(option) \(text) is not key=value") }
    return (String(text[..<equals]), String(text[text.index(after: equals)...]))
  }
}

extension DatasetsV1.DatasetVersion {
  /// `name@version`.
  var reference: String { "\(name)@\(version)" }
}

extension DatasetsV1.RowKind {
  /// The kind in words.
  var title: String {
    switch self {
    case .tokenClassification: "token-classification"
    case .sequenceClassification: "sequence-classification"
    case .chat: "chat"
    case .text: "text"
    default: "\(self)"
    }
  }
}

extension DatasetsV1.TagScheme {
  /// What the tags were imported as; nil if there are none.
  fileprivate var title: String? {
    switch self {
    case .unspecified: nil
    case .iob2: "IOB2"
    case .iob1: "IOB2, imported as IOB1"
    case .iobes: "IOB2, imported as IOBES"
    case .bilou: "IOB2, imported as BILOU"
    case .plain: "plain"
    default: "\(self)"
    }
  }
}
