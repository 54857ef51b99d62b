import ArgumentParser
import ServiceAPI

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension Models {
  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Describes a model: its versions with metrics and lineage, its aliases, its files."
    )

    /// Changes of aliases that are shown.
    private static let historyMax = 20

    @OptionGroup var registry: DataServiceOptions
    @Argument(help: "A name, name@version or name@alias.")
    var model: String

    func run() async throws {
      var resolve = RegistryV1.ResolveModelRequest()
      resolve.model = model
      var request = RegistryV1.GetModelRequest()
      request.name = String(model.prefix { $0 != "@" })
      let (version, whole) = try await registry.callRegistry { [resolve, request] client in
        (try await client.resolveModel(resolve), try await client.getModel(request))
      }
      show(version)
      if !version.metrics.isEmpty {
        Output.line("")
        Output.table(
          [["METRIC", "VALUE"]] + version.metrics.map { [$0.name, Self.number($0.value)] }
        )
      }
      Output.line("")
      Output.table(
        [["FILE", "BYTES", "SHA-256"]]
          + version.files.map { [$0.name, String($0.sizeBytes), $0.sha256] }
      )
      Output.line("")
      Output.table(
        [["VERSION", "CREATED", "ALIASES", "METRICS", "DATASET", "BASE MODEL"]]
          + whole.versions.map { version in
            [
              "\(version.name)@\(version.version)", Self.time(version.createdAtMs),
              version.aliases.joined(separator: " "), Self.metrics(of: version),
              version.lineage?.dataset ?? "", version.lineage?.baseModel ?? "",
            ]
          }
      )
      guard !whole.history.isEmpty else { return }
      Output.line("")
      Output.table(
        [["ALIAS", "CHANGED", "FROM", "TO", "BY"]]
          + whole.history.prefix(Self.historyMax).map { change in
            [
              change.alias, Self.time(change.atMs), Self.version(change.previous),
              Self.version(change.version), change.action,
            ]
          }
      )
    }

    private func show(_ version: RegistryV1.ModelVersion) {
      var rows = [
        ["model", "\(version.name)@\(version.version)"], ["task", version.task],
        ["architecture", version.architecture], ["context", "\(version.contextTokens) tokens"],
        ["size", version.sizeText], ["digest", version.digest],
        ["aliases", version.aliases.joined(separator: " ")], ["path", version.path],
      ]
      if let lineage = version.lineage {
        rows += [
          ["dataset", "\(lineage.dataset) \(lineage.datasetDigest)"],
          ["base model", "\(lineage.baseModel) \(lineage.baseModelDigest)"],
          ["job", lineage.jobID], ["configuration", lineage.configurationJSON],
        ].filter { !$0[1].allSatisfy { $0 == " " } }
      }
      Output.table(rows)
    }

    /// The first metrics, on one line.
    private static func metrics(of version: RegistryV1.ModelVersion) -> String {
      let shown = version.metrics.prefix(3).map { "\($0.name)=\(number($0.value))" }
      return shown.joined(separator: " ") + (version.metrics.count > 3 ? " …" : "")
    }

    private static func version(_ number: UInt32) -> String { number == 0 ? "-" : "\(number)" }

    /// A number with four decimals where it is small: "0.7557", "1234".
    private static func number(_ value: Double) -> String {
      guard abs(value) < 1_000, value != value.rounded() else { return "\(value)" }
      return "\((value * 10_000).rounded() / 10_000)"
    }

    private static func time(_ milliseconds: Int64) -> String {
      Date(timeIntervalSince1970: Double(milliseconds / 1_000)).formatted(.iso8601)
    }
  }
}
