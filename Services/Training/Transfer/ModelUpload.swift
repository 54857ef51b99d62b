import Digests
import Files
import RPC
package import ServiceAPI
import SystemPackage

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Registers a model folder: sends its files to the registry with their digests.
package struct ModelUpload: Sendable {
  /// Files of one model.
  static let filesMax = 64
  /// Bytes of one piece of a file.
  static let pieceBytes = 1 << 20

  private let client: RegistryV1.RegistryClient
  private let policy: TransferRetries

  /// Uploads through a client.
  package init(client: RegistryV1.RegistryClient, policy: TransferRetries = TransferRetries()) {
    self.client = client
    self.policy = policy
  }

  /// Registers a folder; the same folder again is the same version.
  ///
  /// - Parameters:
  ///   - folder: the model in Hugging Face's layout; its files alone count, not its folders.
  ///   - start: the name, metrics and lineage.
  /// - Returns: the version, an earlier one if it has the same files.
  /// - Throws: any code of `TransferError`.
  package func register(
    _ folder: String,
    as start: RegistryV1.RegisterVersionStart
  ) async throws(TransferError) -> RegistryV1.ModelVersion {
    let operation = "register \(start.name)"
    let files = try Self.files(in: folder)
    return try await policy.run(operation) { moved in
      let options = CallOptions(readyTimeout: policy.patience)
      return try await client.registerVersion(options: options) { requests in
        try await requests.write(Self.request(.start(start)))
        for file in files {
          try await requests.write(Self.request(.file(file)))
          let path = FilePath(folder).appending(file.name)
          let descriptor = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
          defer { try? descriptor.close() }
          while let piece = try Self.piece(of: descriptor) {
            guard !policy.isCancelled() else {
              throw TransferError(.cancelled, "\(operation): cancelled")
            }
            try await requests.write(Self.request(.data(piece)))
            moved()
          }
        }
      }
    }
  }

  private static func request(
    _ part: RegistryV1.RegisterVersionRequest.Part
  ) -> RegistryV1.RegisterVersionRequest {
    var request = RegistryV1.RegisterVersionRequest()
    request.part = part
    return request
  }

  private static func piece(of file: FileDescriptor) throws -> [UInt8]? {
    let piece = try [UInt8](unsafeUninitializedCapacity: pieceBytes) { buffer, count in
      count = try file.read(into: UnsafeMutableRawBufferPointer(buffer))
    }
    return piece.isEmpty ? nil : piece
  }

  /// The regular files of a folder by name, with sizes and digests.
  static func files(in folder: String) throws(TransferError) -> [RegistryV1.ModelFile] {
    do {
      let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      var files: [RegistryV1.ModelFile] = []
      for name in names where !name.hasPrefix(".") {
        let path = FilePath(folder).appending(name)
        let attributes = try FileManager.default.attributesOfItem(atPath: path.string)
        guard attributes[.type] as? FileAttributeType == .typeRegular else { continue }
        let digest = try FileOperations<TransferError>.sha256(of: path.string)
        var file = RegistryV1.ModelFile()
        (file.name, file.sha256) = (name, digest.sha256)
        file.sizeBytes = UInt64(digest.sizeBytes)
        files.append(file)
      }
      guard files.count <= filesMax else {
        throw TransferError(.refused, "\(folder) has \(files.count) files, more than \(filesMax)")
      }
      return files
    } catch let error as TransferError {
      throw error
    } catch {
      throw TransferError(.storage, "read \(folder): \(error)", cause: error)
    }
  }
}
