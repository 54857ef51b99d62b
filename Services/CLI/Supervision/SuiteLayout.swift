package import SystemPackage

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Where a suite on one machine keeps its files.
///
/// `data/` and `training/` hold what must survive (models, metadata, jobs), `run/` what belongs to the running suite, and `logs/` one
/// file per process.
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
  /// One log file per process.
  package var logs: FilePath { home.appending("logs") }
  /// Held locked for as long as a supervisor runs.
  package var lock: FilePath { run.appending("lock") }
  /// What `llmos ps`, `llmos down` and the clients read.
  package var description: FilePath { run.appending("suite.json") }

  /// What the user wants to run, ``DesiredState``; the command line changes it, the supervisor acts on it.
  package var desired: FilePath { run.appending("desired.json") }
  /// Held while the desired state is changed.
  var desiredLock: String { desired.string + ".lock" }
  /// The replicas of inference that take requests, one `host:port` per line; the gateway reads it.
  package var addresses: FilePath { run.appending("inference.addresses") }

  /// Where a process writes the ports it listens on.
  package func portsFile(_ instance: ServiceInstance) -> FilePath {
    run.appending("\(instance).ports.json")
  }

  /// Where a process's standard error goes.
  package func logFile(_ instance: ServiceInstance) -> FilePath {
    logs.appending("\(instance).log")
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
