import Files
import RPC
package import ServiceAPI

/// Brings the rows of one split into a file, one JSON object a line, in stored order.
///
/// A training reads its rows several times and for hours; from a file it does so without the data-management
/// service, which may be started again meanwhile.
package struct DatasetDownload: Sendable {
  /// What was brought.
  package struct Result: Sendable, Equatable {
    /// `name@version`.
    package var dataset: String
    /// The digest of the version.
    package var digest: String
    /// The rows in the file.
    package var rows: UInt64
  }

  private let client: DatasetsV1.DatasetsClient
  private let policy: TransferRetries

  /// Downloads through a client.
  package init(client: DatasetsV1.DatasetsClient, policy: TransferRetries = TransferRetries()) {
    self.client = client
    self.policy = policy
  }

  /// Writes the rows of a split to a file, which appears whole or not at all.
  ///
  /// A connection that breaks is taken up again behind the last rows that came.
  ///
  /// - Parameters:
  ///   - split: the split's name.
  ///   - dataset: `name@version`.
  ///   - path: the file; one that is there is replaced.
  /// - Returns: what was written.
  /// - Throws: any code of `TransferError`.
  package func download(
    _ split: String,
    of dataset: String,
    to path: String
  ) async throws(TransferError) -> Result {
    let operation = "read \(split) of \(dataset)"
    var result = Result(dataset: dataset, digest: "", rows: 0)
    var expected: UInt64 = 0
    let file = try AtomicFile<TransferError>(path)
    var request = DatasetsV1.ReadRequest()
    request.dataset = dataset
    request.split = split
    try await policy.run(operation) { moved in
      let options = CallOptions(readyTimeout: policy.patience)
      for try await response in try await client.read(request, options: options) {
        guard !policy.isCancelled() else {
          throw TransferError(.cancelled, "\(operation): cancelled")
        }
        if !response.dataset.isEmpty {
          result.dataset = response.dataset
          result.digest = response.digest
          expected = response.splitRows
        }
        try file.write(response.rows)
        result.rows += UInt64(response.rowCount)
        request.cursor = response.cursor
        moved()
      }
    }
    guard result.rows == expected else {
      throw TransferError(
        .unavailable,
        "\(operation): \(result.rows) rows came, the split has \(expected)"
      )
    }
    try file.commit()
    return result
  }
}
