package import SystemPackage

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Where a suite on one machine keeps its files.
///
/// `data/` and `training/` hold what must survive (models, metadata, jobs), `run/` what belongs to the running suite, and `logs/` one
/// file per service.
package struct SuiteLayout: Sendable {
  /// The suite's home folder.
  package let home: FilePath

  /// A layout below `home`.
  package init(home: FilePath) {
    self.home = home
  }

  /// `$LLMOS_HOME`, else `~/.llmos`.
  package static func defaultHome(environment: [String: String]) -> FilePath {
    if let home = environment["LLMOS_HOME"], !home.isEmpty { return FilePath(home) }
    return FilePath(environment["HOME"] ?? "/var/lib").appending(".llmos")
  }

  /// Models, datasets and their metadata.
  package var data: FilePath { home.appending("data") }
  /// Training jobs: their database, checkpoints and reports.
  package var training: FilePath { home.appending("training") }
  /// Ports files, the lock and the description of the running suite.
  package var run: FilePath { home.appending("run") }
  /// One log file per service.
  package var logs: FilePath { home.appending("logs") }
  /// Held locked for as long as a supervisor runs.
  package var lock: FilePath { run.appending("lock") }
  /// What `llmos status`, `llmos down` and the clients read.
  package var description: FilePath { run.appending("suite.json") }

  /// Where a service writes the ports it listens on.
  package func portsFile(_ service: Service) -> FilePath {
    run.appending("\(service.rawValue).ports.json")
  }

  /// Where a service's standard error goes.
  package func logFile(_ service: Service) -> FilePath {
    logs.appending("\(service.rawValue).log")
  }

  /// Makes the folders, readable by their owner alone.
  package func create() throws(SupervisionError) {
    for folder in [home, data, training, run, logs] {
      do {
        try FileManager.default.createDirectory(
          atPath: folder.string,
          withIntermediateDirectories: true,
          attributes: [.posixPermissions: 0o700]
        )
      } catch {
        throw SupervisionError(
          .files,
          "cannot make the folder \(folder): \(error)",
          cause: error
        )
      }
    }
  }
}
