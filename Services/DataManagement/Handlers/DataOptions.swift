import Foundation
package import ServiceKit

/// The data-management service's own options.
package enum DataOptions {
  /// The store's folder.
  package static let directory = ServiceOption(
    "data.dir",
    default: defaultDirectory(ProcessInfo.processInfo.environment),
    help: "Folder of the store: models and their metadata. One process at a time.",
    problem: { $0.isEmpty ? "is empty" : nil }
  )
  /// Models to import at start.
  package static let demoModels = ServiceOption(
    "demo.models",
    default: String?.none,
    help: "Folder of model folders, each imported at start unless its name is registered."
  )

  /// All of them.
  package static let all: [any DeclaredOption] = [directory, demoModels]

  /// The folder `data` of the suite's home, where `llmos up` keeps it too.
  static func defaultDirectory(_ environment: [String: String]) -> String {
    if let home = environment["LLMOS_HOME"], !home.isEmpty { return "\(home)/data" }
    return "\(environment["HOME"] ?? ".")/.llmos/data"
  }

  /// A path of the command line as an absolute one.
  static func absolute(_ path: String) -> String {
    URL(fileURLWithPath: path).standardizedFileURL.path
  }
}
