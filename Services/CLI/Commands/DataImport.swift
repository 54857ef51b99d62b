import ArgumentParser
import RPC
import ServiceAPI

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif
#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension DataCommand {
  struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Imports files as the next version of a dataset.",
      discussion: """
        Formats: CoNLL (.conll .bio .iob), JSON Lines (.jsonl), CSV, TSV, plain text (.txt).
        Example: llmos data import --name wikiann --split train=train.conll --split dev=dev.conll
        """
    )

    @OptionGroup var service: DataServiceOptions
    @Option(help: "The dataset's name.") var name: String
    @Option(help: "conll, jsonl, csv, tsv or text (default: by the file's name).")
    var format: FormatOption?
    @Option(
      help: ArgumentHelp("A file for a split; others go to train.", valueName: "split=file")
    )
    var split: [String] = []
    @Option(help: "What becomes of bad rows: reject (the import fails) or skip.")
    var badRows: BadRowsOption = .reject
    @Option(
      help: ArgumentHelp(
        "Where a file calls things otherwise: text=, label=, tokens=, tags=, messages=, prompt=, "
          + "completion=; in CoNLL files numbers from 0, -1 the last.",
        valueName: "role=column"
      )
    )
    var column: [String] = []
    @Option(help: "iob2, iob1, iobes, bilou or plain (default: found out).")
    var tagScheme: TagSchemeOption?
    @Option(help: "What makes a row of a plain text: line or paragraph.")
    var textUnit: TextUnitOption = .line
    @Option(help: "Names of numeric tags or labels, in their order, with commas between.")
    var labelNames: String?
    @Option(
      help: "token-classification, sequence-classification, chat or text (default: found out)."
    )
    var kind: KindOption?
    @Argument(help: "Files for the split train.") var files: [String] = []

    func run() async throws {
      let uploads = try self.uploads()
      let options = try self.options()
      let progress = ImportProgressBar(totalBytes: uploads.reduce(0) { $0 + $1.sizeBytes })
      let (result, failure) = try await service.callDatasets { client in
        await Self.send(uploads, options, client, progress)
      }
      progress.end()
      guard let result else {
        throw GatewayClient.Failure(description: failure?.message ?? "the import did not end")
      }
      try report(result)
    }

    private func report(_ result: DatasetsV1.ImportResult) throws {
      for row in result.badRows {
        ImportProgressBar.note("\(row.file):\(row.line): \(row.reason)")
      }
      let more = result.badRowsTotal - UInt64(result.badRows.count)
      if more > 0 { ImportProgressBar.note("… and \(more) more bad rows") }
      guard let version = result.version else {
        throw GatewayClient.Failure(
          description: "nothing was imported: \(result.badRowsTotal) bad rows; "
            + "--bad-rows skip leaves them out"
        )
      }
      Output.line(
        result.isNew
          ? "imported \(version.reference)"
          : "\(version.reference) has this content already"
      )
      Output.table(
        [["SPLIT", "ROWS", "TOKENS"]]
          + version.splits.map { [$0.name, "\($0.rows)", "\($0.tokens)"] }
      )
      if result.badRowsTotal > 0 { Output.line("left out \(result.badRowsTotal) bad rows") }
    }

    private func uploads() throws -> [Upload] {
      var uploads = try files.map { try Upload(path: $0, split: "train") }
      for text in split {
        let (name, path) = try KeyValue.parse(text, "--split")
        uploads.append(try Upload(path: path, split: name))
      }
      guard !uploads.isEmpty else { throw ValidationError("name a file, or --split split=file") }
      for index in uploads.indices { uploads[index].format = format?.message ?? .unspecified }
      return uploads
    }

    private func options() throws -> DatasetsV1.ImportOptions {
      var options = DatasetsV1.ImportOptions()
      options.name = name
      options.badRows = badRows == .skip ? .skip : .reject
      for text in column {
        let (role, name) = try KeyValue.parse(text, "--column")
        options.columns[role] = name
      }
      options.tagScheme = tagScheme?.message ?? .unspecified
      options.textUnit = textUnit == .paragraph ? .paragraph : .line
      options.labelNames = labelNames?.split(separator: ",").map(String.init) ?? []
      options.kind = kind?.message ?? .unspecified
      return options
    }
  }
}

extension DataCommand.Import {
  /// A file to send.
  struct Upload: Sendable {
    let path: String
    let split: String
    let sizeBytes: UInt64
    var format = DatasetsV1.FileFormat.unspecified

    init(path: String, split: String) throws {
      var status = stat()
      guard stat(path, &status) == 0 else {
        throw ValidationError("\(path): \(String(cString: strerror(errno)))")
      }
      guard status.st_mode & S_IFMT == S_IFREG else { throw ValidationError("\(path) is no file") }
      self.path = path
      self.split = split
      sizeBytes = UInt64(status.st_size)
    }
  }

  /// Bytes sent in one message.
  private static let pieceBytes = 256 << 10

  /// Sends the files and reads the progress meanwhile; the result, and how the call failed.
  fileprivate static func send(
    _ uploads: [Upload],
    _ options: DatasetsV1.ImportOptions,
    _ client: DatasetsV1.DatasetsClient,
    _ progress: ImportProgressBar
  ) async -> (DatasetsV1.ImportResult?, RPCError?) {
    var result: DatasetsV1.ImportResult?
    do {
      let call = try await client.importDataset()
      async let unsent = failure(of: uploads, options, call)
      do {
        for try await response in call.responses {
          switch response.part {
          case .progress(let state): progress.show(state)
          case .result(let message): result = message
          case nil: break
          }
        }
      } catch {
        // A file that could not be read is why the call was cancelled.
        return (result, await unsent ?? error)
      }
      return (result, await unsent)
    } catch {
      return (result, error)
    }
  }

  /// Sends the files; returns what kept them from being read.
  ///
  /// How the call fails is left to its reader.
  private static func failure(
    of uploads: [Upload],
    _ options: DatasetsV1.ImportOptions,
    _ call: BidirectionalCall<DatasetsV1.ImportDatasetRequest, DatasetsV1.ImportDatasetResponse>
  ) async -> RPCError? {
    do {
      try await write(uploads, options, to: call.requests)
      return nil
    } catch let error as GatewayClient.Failure {
      call.responses.cancel()
      return RPCError(.unknown, error.description)
    } catch {
      return nil
    }
  }

  private static func write(
    _ uploads: [Upload],
    _ options: DatasetsV1.ImportOptions,
    to requests: RequestWriter<DatasetsV1.ImportDatasetRequest>
  ) async throws {
    var request = DatasetsV1.ImportDatasetRequest()
    request.part = .options(options)
    try await requests.write(request)
    for upload in uploads {
      var file = DatasetsV1.FileStart()
      file.name = String(upload.path.split(separator: "/").last ?? "")
      (file.format, file.split, file.sizeBytes) = (upload.format, upload.split, upload.sizeBytes)
      request.part = .file(file)
      try await requests.write(request)
      let descriptor = open(upload.path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else {
        throw GatewayClient.Failure(
          description: "\(upload.path): \(String(cString: strerror(errno)))"
        )
      }
      defer { close(descriptor) }
      while true {
        let piece = [UInt8](unsafeUninitializedCapacity: pieceBytes) { buffer, count in
          count = max(0, read(descriptor, buffer.baseAddress, buffer.count))
        }
        guard !piece.isEmpty else { break }
        request.part = .data(piece)
        try await requests.write(request)
      }
    }
    requests.finish()
  }
}

enum FormatOption: String, ExpressibleByArgument, CaseIterable {
  case conll, jsonl, csv, tsv, text

  var message: DatasetsV1.FileFormat {
    switch self {
    case .conll: .conll
    case .jsonl: .jsonl
    case .csv: .csv
    case .tsv: .tsv
    case .text: .text
    }
  }
}

enum BadRowsOption: String, ExpressibleByArgument, CaseIterable { case reject, skip }

enum TextUnitOption: String, ExpressibleByArgument, CaseIterable { case line, paragraph }

enum TagSchemeOption: String, ExpressibleByArgument, CaseIterable {
  case iob2, iob1, iobes, bilou, plain

  var message: DatasetsV1.TagScheme {
    switch self {
    case .iob2: .iob2
    case .iob1: .iob1
    case .iobes: .iobes
    case .bilou: .bilou
    case .plain: .plain
    }
  }
}

enum KindOption: String, ExpressibleByArgument, CaseIterable {
  case tokenClassification = "token-classification"
  case sequenceClassification = "sequence-classification"
  case chat, text

  var message: DatasetsV1.RowKind {
    switch self {
    case .tokenClassification: .tokenClassification
    case .sequenceClassification: .sequenceClassification
    case .chat: .chat
    case .text: .text
    }
  }
}
