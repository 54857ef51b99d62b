internal import Crypto
internal import Digests

/// A split of the data.
package enum Split: String, Sendable, Codable, CaseIterable {
  case train, dev, test
}

/// Reads splits row by row and hashes what it reads.
struct SplitReader {
  private var hash = SHA256()

  /// The hash of all rows read, as hexadecimal digits.
  var digest: String { hash.finalize().hexadecimal }

  /// Reads the rows of `source`, at most `limit`; returns their number.
  /// - Throws: `invalidData`, naming the split and the row (which counts from 1) and the reason;
  ///   errors of `body`; `cancelled`.
  mutating func read(
    _ source: any RowSource,
    _ split: Split,
    limit: Int = DataLimits.rowsMax,
    isCancelled: () -> Bool = { false },
    _ body: (RowReader, Int) throws -> Void
  ) throws(TrainerError) -> Int {
    var count = 0
    hash.update(data: Array(split.rawValue.utf8))
    do {
      try source.forEachRow { bytes in
        guard count < limit else {
          if limit < DataLimits.rowsMax { throw EnoughRows() }
          throw TrainerError(.invalidData, "\(split.rawValue) has more than \(limit) rows")
        }
        count += 1
        if count % 1_024 == 0, isCancelled() { throw TrainerError.cancelled }
        guard bytes.count <= DataLimits.rowBytesMax else {
          throw RowReader.Problem(reason: "has \(bytes.count) bytes")
        }
        withUnsafeBytes(of: bytes.count) { hash.update(bufferPointer: $0) }
        hash.update(bufferPointer: bytes)
        try body(try RowReader(bytes), count)
      }
    } catch is EnoughRows {
      return count
    } catch let problem as RowReader.Problem {
      throw TrainerError(.invalidData, "\(split.rawValue) row \(count) \(problem.reason)")
    } catch let error as TrainerError {
      throw error
    } catch {
      throw TrainerError(
        .invalidData,
        "\(split.rawValue): the rows cannot be read after row \(count): \(error)",
        cause: error
      )
    }
    return count
  }

  /// Ends the reading of a source that has more rows than are wanted.
  private struct EnoughRows: Error {}
}
