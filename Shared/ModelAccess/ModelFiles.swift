import Digests
import Files
package import RPC
package import ServiceAPI
import SystemPackage

/// Checks the files of a registered model against what the registry says of them.
package enum ModelFiles {
  /// Checks the size and the digest of each file of `version` that `isWanted` names.
  ///
  /// Reads them whole, so it takes about a second per gigabyte; call it off the event loops. Throws DATA_LOSS naming
  /// the model and the file.
  package static func verify(
    _ version: RegistryV1.ModelVersion,
    where isWanted: (String) -> Bool = { _ in true }
  ) throws(RPCError) {
    for file in version.files where isWanted(file.name) {
      let fault: String
      do throws(UnreadableFile) {
        let path = FilePath(version.path).appending(file.name).string
        let found = try FileOperations<UnreadableFile>.sha256(of: path).sha256
        guard found != file.sha256 else { continue }
        fault = "has the SHA-256 \(found); the registry says \(file.sha256)"
      } catch {
        fault = "cannot be read: \(error.reason)"
      }
      throw RPCError(
        .dataLoss,
        "model \(version.name)@\(version.version): the file \(file.name) \(fault)"
      )
    }
  }
}

/// Why a file cannot be read, as part of a message that names it.
private struct UnreadableFile: FileFailure {
  let reason: String

  static func refused(
    _ operation: FileOperation,
    _ path: String,
    _ cause: SystemCallError
  ) -> UnreadableFile { UnreadableFile(reason: cause.description) }

  static func excessive(
    _ operation: FileOperation,
    _ path: String,
    _ excess: String
  ) -> UnreadableFile { UnreadableFile(reason: excess) }
}
