import JSON
import RPC
import ServiceAPI

/// One upload of `POST /v1/files`: form data comes in, an import of a dataset goes out as it arrives.
///
/// Used by one task.
struct FileUpload {
  /// Longest value of a field that is no file, in bytes.
  static let fieldBytesMax = 1024
  /// Longest name of a file, in bytes.
  static let filenameBytesMax = 255
  /// Bytes that one message of the import carries, at most.
  static let messageBytesMax = 256 << 10
  /// What a file may be for: OpenAI's other purposes mean nothing here.
  static let purpose = "fine-tune"

  private typealias Call = BidirectionalCall<
    DatasetsV1.ImportDatasetRequest, DatasetsV1.ImportDatasetResponse
  >

  private let datasets: DatasetsV1.DatasetsClient
  private let options: CallOptions
  private let id: String
  private var call: Call?
  private var buffer: [UInt8] = []
  private var field: (name: String, value: [UInt8])?
  private var isInFile = false
  private var isPurposeKnown = false
  /// The import ended before the file did: why, its answer says.
  private var isRefused = false

  /// An upload that becomes the dataset `id`.
  init(id: String, datasets: DatasetsV1.DatasetsClient, options: CallOptions) {
    (self.id, self.datasets, self.options) = (id, datasets, options)
  }

  /// Takes in what the body holds.
  mutating func take(_ event: MultipartParser.Event) async throws {
    switch event {
    case .part(let name, let filename):
      if name.isSame("file") {
        try await beginFile(filename)
      } else {
        guard name.isSame("purpose") else {
          throw GatewayError.invalid(
            name.quotable,
            "unknown_parameter",
            "Unknown parameter: '\(name.quotable)'."
          )
        }
        field = (name, [])
      }
    case .data(let bytes) where isInFile:
      buffer += bytes
      while buffer.count >= Self.messageBytesMax { try await send(Self.messageBytesMax) }
    case .data(let bytes):
      field?.value += bytes
      if let field, field.value.count > Self.fieldBytesMax {
        throw GatewayError.invalid(
          field.name,
          "string_above_max_length",
          "Invalid '\(field.name)': string too long."
        )
      }
    case .end:
      if isInFile { try await send(buffer.count) }
      isInFile = false
      if let field { try checkPurpose(field.value) }
      field = nil
    }
  }

  /// Ends the import once the body is complete, and says what it made.
  func finish() async throws -> DatasetsV1.DatasetVersion {
    guard let call else { throw Self.missing("file") }
    guard isPurposeKnown else { throw Self.missing("purpose") }
    call.requests.finish()
    var result: DatasetsV1.ImportResult?
    do throws(RPCError) {
      for try await response in call.responses {
        if case .result(let found) = response.part { result = found }
      }
    } catch {
      if let result, result.badRowsTotal > 0 { throw Self.badRows(result) }
      throw GatewayError(error, from: "data-management")
    }
    guard let version = result?.version else {
      throw GatewayError.internalFailure(
        cause: RPCError(.internal, "the import ended without a version")
      )
    }
    return version
  }

  /// Gives the import up: nothing of it is kept.
  func cancel() { call?.responses.cancel() }

  private mutating func beginFile(_ filename: String?) async throws {
    guard call == nil else {
      throw GatewayError.invalid(
        "file",
        "invalid_value",
        "Invalid 'file': one file is accepted in a request."
      )
    }
    let name = Self.plainName(filename)
    guard (1...Self.filenameBytesMax).contains(name.utf8.count) else {
      throw GatewayError.invalid(
        "file",
        "invalid_value",
        "Invalid 'file': it needs a name of 1 to \(Self.filenameBytesMax) bytes."
      )
    }
    do throws(RPCError) {
      let call = try await datasets.importDataset(options: self.options)
      self.call = call
      var options = DatasetsV1.ImportOptions()
      options.name = id
      var start = DatasetsV1.FileStart()
      start.name = name
      // OpenAI's files are JSONL whatever their name; other formats are known by theirs.
      start.format = Self.hasFormat(name) ? .unspecified : .jsonl
      var request = DatasetsV1.ImportDatasetRequest()
      for part in [.options(options), .file(start)] as [DatasetsV1.ImportDatasetRequest.Part] {
        request.part = part
        try await call.requests.write(request)
      }
    } catch {
      isRefused = call != nil
      if call == nil { throw GatewayError(error, from: "data-management") }
    }
    isInFile = true
  }

  private mutating func send(_ count: Int) async throws {
    guard count > 0 else { return }
    let bytes = Array(buffer[..<count])
    buffer.removeFirst(count)
    guard let call, !isRefused else { return }
    var request = DatasetsV1.ImportDatasetRequest()
    request.part = .data(bytes)
    do throws(RPCError) {
      try await call.requests.write(request)
    } catch {
      isRefused = true
    }
  }

  private mutating func checkPurpose(_ value: [UInt8]) throws(GatewayError) {
    guard value.elementsEqual(Self.purpose.utf8) else {
      throw .value(
        of: "purpose",
        String(decoding: value, as: UTF8.self),
        allowed: [Self.purpose]
      )
    }
    isPurposeKnown = true
  }

  private static func missing(_ field: String) -> GatewayError {
    .invalid(
      field,
      "missing_required_parameter",
      "Missing required parameter: '\(field)'."
    )
  }

  private static func badRows(_ result: DatasetsV1.ImportResult) -> GatewayError {
    let shown = result.badRows.prefix(5).map { "line \($0.line): \($0.reason)" }
    let more = result.badRowsTotal > UInt64(shown.count) ? "; …" : ""
    return .invalid(
      "file",
      "invalid_file",
      "Invalid file: \(result.badRowsTotal) rows are wrong: "
        + shown.joined(separator: "; ") + more
    )
  }

  /// A name without the path that some clients send with it.
  private static func plainName(_ filename: String?) -> String {
    let path = filename ?? "file.jsonl"
    let name = path.utf8.split { $0 == 47 || $0 == 92 }.last.map { Substring($0) } ?? ""
    return String(String.UnicodeScalarView(name.unicodeScalars.filter { $0.value >= 32 }))
  }

  private static func hasFormat(_ name: String) -> Bool {
    [".conll", ".bio", ".iob", ".iob2", ".csv", ".tsv", ".txt"].contains { name.hasSuffix($0) }
  }
}
