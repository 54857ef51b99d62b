import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import RPC
import ServiceAPI
import ServiceKit

/// `/v1/files`: OpenAI's files, each a dataset of the data-management service.
struct FilesHandler: Sendable {
  /// Largest upload, in bytes: OpenAI's own bound.
  static let uploadBytesMax = 512 << 20
  /// The longest an upload may take.
  static let uploadTimeout: Duration = .seconds(3600)
  /// Most files of one page.
  static let pageMax = 1000
  /// The longest a download may take.
  private static let readTimeout: Duration = .seconds(3600)

  let backends: Backends
  let limits: RequestLimits

  // MARK: - Upload

  /// `POST /v1/files`.
  func create(_ request: Request, _ context: HTTPContext) async throws -> Response {
    let parser = try Self.parser(request)
    if let length = request.headers[.contentLength].flatMap({ Int($0) }),
      length > Self.uploadBytesMax
    {
      throw Self.tooLarge
    }
    try RequestLoad.current?.beginBody()
    let (body, backends) = (request.body, backends)
    let version = try await Deadline.$current.withValue(.after(Self.uploadTimeout)) {
      try await ClientWatch.run(
        on: context.channel,
        timeout: Self.uploadTimeout,
        timeoutError: GatewayError(
          .requestTimeout,
          "The file did not arrive within \(Self.uploadTimeout)."
        )
      ) {
        try await Self.store(body, parser, backends)
      }
    }
    return Self.file(version)
  }

  private static func store(
    _ body: RequestBody,
    _ parser: MultipartParser,
    _ backends: Backends
  ) async throws -> DatasetsV1.DatasetVersion {
    var parser = parser
    var upload = FileUpload(
      id: FileObject.freshID(),
      datasets: backends.datasets,
      options: backends.callOptions
    )
    var bytes = 0
    do {
      for try await buffer in body {
        bytes += buffer.readableBytes
        guard bytes <= uploadBytesMax else { throw tooLarge }
        var events: [MultipartParser.Event] = []
        try parser.append(buffer.readableBytesView) { events.append($0) }
        for event in events { try await upload.take(event) }
      }
      guard parser.isComplete else {
        throw MultipartError(message: "it ends before its last boundary")
      }
      return try await upload.finish()
    } catch let error as MultipartError {
      upload.cancel()
      throw malformed(error)
    } catch {
      upload.cancel()
      throw error
    }
  }

  private static let tooLarge = GatewayError(
    .bodyTooLarge,
    "The file is larger than \(uploadBytesMax) bytes."
  )

  private static func parser(_ request: Request) throws(GatewayError) -> MultipartParser {
    do throws(MultipartError) {
      return try MultipartParser(contentType: request.headers[.contentType] ?? "")
    } catch {
      throw malformed(error)
    }
  }

  private static func malformed(_ error: MultipartError) -> GatewayError {
    GatewayError(
      .invalidRequest,
      "The request body is not valid form data: \(error.message).",
      reason: "invalid_form_data",
      cause: error
    )
  }

  // MARK: - The others

  /// `GET /v1/files`.
  func list(_ request: Request) async throws -> Response {
    let query = PageQuery(request)
    try query.refuseUnknown(["purpose", "limit", "order", "after"])
    let limit = try query.integer("limit", in: 1...10_000) ?? Self.pageMax
    let order = try query.choice("order", of: ["asc", "desc"]) ?? "desc"
    let isWanted = try query.text("purpose").map { $0.isSame(FileUpload.purpose) } ?? true
    var files = isWanted ? try await all() : []
    if order == "asc" { files.reverse() }
    if let after = try query.text("after") {
      guard let index = files.firstIndex(where: { $0.name.isSame(after) }) else {
        throw GatewayError.invalid("after", "invalid_value", "No such file: '\(after.quotable)'.")
      }
      files.removeFirst(index + 1)
    }
    let page = files.prefix(min(limit, Self.pageMax))
    var described: [DatasetsV1.DatasetVersion] = []
    for file in page {
      // One that is deleted meanwhile is left out.
      if let version = try await datasetIfPresent(file.name) { described.append(version) }
    }
    return .json(
      Page.json(described, id: \.name, hasMore: files.count > page.count) {
        FileObject.append($0, to: &$1)
      }
    )
  }

  /// `GET /v1/files/{id}`.
  func get(_ id: String) async throws -> Response { Self.file(try await known(id)) }

  /// `DELETE /v1/files/{id}`: the file, and the datasets that jobs made of it and another.
  func delete(_ id: String) async throws -> Response {
    let file = try await known(id)
    // The file last: while it is there, deleting it can be tried again.
    for joined in try await versions() {
      guard let files = JoinedDataset.files(of: joined.name),
        [files.training, files.validation].contains(where: file.name.isSame)
      else { continue }
      try await delete(joined)
    }
    try await delete(file)
    var json = JSONText()
    json.raw(#"{"id":"#)
    json.string(file.name)
    json.raw(#","object":"file","deleted":true}"#)
    return .json(json.bytes)
  }

  /// One that is gone already is fine.
  private func delete(_ version: DatasetsV1.DatasetVersion) async throws(GatewayError) {
    var request = DatasetsV1.DeleteDatasetRequest()
    request.dataset = "\(version.name)@\(version.version)"
    do throws(RPCError) {
      _ = try await backends.datasets.deleteDataset(request, options: backends.callOptions)
    } catch {
      if error.code != .notFound { throw GatewayError(error, from: "data-management") }
    }
  }

  /// `GET /v1/files/{id}/content`: the rows as they are stored, in the order of the upload, one JSON object a line.
  ///
  /// Stored is what can be learnt from: a row's texts, tags and labels, without blanks between and in a fixed order
  /// of keys. JSON Lines in that form come back byte for byte; other keys, and the form of other formats, do not.
  func content(_ id: String) async throws -> Response {
    let file = try await known(id)
    let (backends, entry) = (backends, RequestLoad.current)
    let options = CallOptions.inheriting(
      timeout: Self.readTimeout,
      readyTimeout: backends.readyTimeout
    )
    return Response(
      status: .ok,
      headers: [.contentType: "application/jsonl"],
      body: ResponseBody { writer in
        do {
          for split in file.splits {
            var request = DatasetsV1.ReadRequest()
            request.dataset = "\(file.name)@\(file.version)"
            request.split = split.name
            let rows = try await backends.datasets.read(request, options: options)
            for try await response in rows {
              try await writer.write(ByteBuffer(bytes: response.rows))
            }
          }
          try await writer.finish(nil)
          entry?.finish(status: 200)
        } catch {
          // The body breaks off: the client knows by its missing end that it is not whole.
          let failure = (error as? RPCError).map { GatewayError($0, from: "data-management") }
          entry?.finish(status: (failure ?? .clientClosed).status)
          throw error
        }
      }
    )
  }

  /// The files, the newest first.
  private func all() async throws(GatewayError) -> [DatasetsV1.DatasetVersion] {
    try await versions().filter { FileObject.isID($0.name) }
      .sorted { ($1.createdAtMs, $1.name) < ($0.createdAtMs, $0.name) }
  }

  private func versions() async throws(GatewayError) -> [DatasetsV1.DatasetVersion] {
    do throws(RPCError) {
      return try await backends.datasets.listDatasets(.init(), options: backends.callOptions)
        .versions
    } catch {
      throw GatewayError(error, from: "data-management")
    }
  }

  private func dataset(_ name: String) async throws(GatewayError) -> DatasetsV1.DatasetVersion {
    guard let version = try await datasetIfPresent(name) else { throw Self.noFile(name) }
    return version
  }

  private func datasetIfPresent(
    _ name: String
  ) async throws(GatewayError) -> DatasetsV1.DatasetVersion? {
    var request = DatasetsV1.GetDatasetRequest()
    request.dataset = name
    do throws(RPCError) {
      return try await backends.datasets.getDataset(request, options: backends.callOptions)
    } catch {
      if error.code == .notFound { return nil }
      throw GatewayError(error, from: "data-management")
    }
  }

  private func known(_ id: String) async throws(GatewayError) -> DatasetsV1.DatasetVersion {
    guard FileObject.isID(id) else { throw Self.noFile(id) }
    return try await dataset(id)
  }

  private static func noFile(_ id: String) -> GatewayError {
    GatewayError(.notFound, "No such File object: \(id.quotable)", parameter: "id")
  }

  private static func file(_ version: DatasetsV1.DatasetVersion) -> Response {
    var json = JSONText()
    FileObject.append(version, to: &json)
    return .json(json.bytes)
  }
}
