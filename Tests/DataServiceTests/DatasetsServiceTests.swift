import DataService
import Datasets
import Foundation
import NIOCore
import NIOPosix
import RPC
import ServiceAPI
import Store
import Testing

/// The datasets' handlers behind a real server, called with the generated client.
@Suite struct DatasetsServiceTests {
  private static let csv = "text,label\n" + (0..<100).map { "row \($0),l\($0 % 4)\n" }.joined()

  @Test func `Importing, splitting, comparing and reading go over the wire`() async throws {
    try await withService { client in
      let (result, progress) = try await importFiles(client, [("a.csv", "", Self.csv)])
      let version = try #require(result?.version)
      #expect(result?.isNew == true)
      #expect(progress.last?.rows == 100)
      #expect(progress.last?.bytes == UInt64(Self.csv.utf8.count))
      #expect(version.kind == .sequenceClassification)
      #expect(version.rows == 100)
      #expect(version.splits.map(\.name) == ["train"])
      #expect(version.labels.map(\.name) == ["l0", "l1", "l2", "l3"])
      #expect(version.labels.map(\.count) == [25, 25, 25, 25])
      #expect(version.lengths?.max == 2)
      #expect(version.digest.count == 64)

      var get = DatasetsV1.GetDatasetRequest()
      get.dataset = "set@1"
      #expect(try await client.getDataset(get) == version)
      let list = try await client.listDatasets(DatasetsV1.ListDatasetsRequest())
      #expect(list.versions.map(\.digest) == [version.digest])
      #expect(list.versions.first?.labels.isEmpty == true)

      var split = DatasetsV1.SplitDatasetRequest()
      (split.dataset, split.seed, split.stratified) = ("set", 3, true)
      split.shares = [("train", 0.8), ("dev", 0.2)].map { name, fraction in
        var share = DatasetsV1.SplitShare()
        (share.name, share.fraction) = (name, fraction)
        return share
      }
      let shared = try await client.splitDataset(split)
      #expect(shared.version == 2)
      #expect(shared.parent == 1)
      #expect(shared.splits.map(\.rows) == [20, 80])
      #expect(shared.splits[0].labels.map(\.count) == [5, 5, 5, 5])

      var diff = DatasetsV1.DiffDatasetsRequest()
      (diff.older, diff.newer, diff.rowsMax) = ("set@1", "set@2", 10)
      let difference = try await client.diffDatasets(diff)
      #expect(difference.added + difference.removed == 0)
      #expect(difference.unchanged == 100)
      #expect(difference.moved == 20)
    }
  }

  @Test func `A read is streamed in batches, shuffled by seed, and resumes at a cursor`()
    async throws
  {
    try await withService { client in
      _ = try await importFiles(client, [("a.csv", "", Self.csv)])
      var request = DatasetsV1.ReadRequest()
      (request.dataset, request.split, request.batchRows) = ("set", "train", 7)
      (request.shuffled, request.seed) = (true, 9)
      var batches: [DatasetsV1.ReadResponse] = []
      for try await batch in try await client.read(request) { batches.append(batch) }
      #expect(batches.count == 15)
      #expect(batches.map { Int($0.rowCount) }.reduce(0, +) == 100)
      #expect(batches[0].dataset == "set@1")
      #expect(batches[0].splitRows == 100)
      #expect(batches[0].digest.count == 64)
      let all = batches.flatMap(\.rows)
      #expect(all.split(separator: 0x0A).count == 100)

      request.cursor = batches[3].cursor
      (request.batchRows, request.rowsMax) = (0, 50)
      var rest: [UInt8] = []
      for try await batch in try await client.read(request) { rest += batch.rows }
      #expect(rest == Array(batches[4...].flatMap(\.rows).prefix(rest.count)))
      #expect(rest.split(separator: 0x0A).count == 50)
    }
  }

  @Test(.timeLimit(.minutes(5)))
  func `A reader that does not read holds the server up, and may leave`() async throws {
    try await withService { client in
      let line = String(repeating: "x", count: 10_000) + "\n"
      _ = try await importFiles(
        client,
        [("a.txt", "", (0..<2_000).map { "\($0)\(line)" }.joined())]
      )
      var request = DatasetsV1.ReadRequest()
      (request.dataset, request.split) = ("set", "train")
      var iterator = try await client.read(request).makeAsyncIterator()
      let first = try await iterator.next()
      #expect(first?.cursor ?? 0 > 0)
      #expect(first?.cursor ?? 0 < 2_000)
      // Another call is served while the first one is held up.
      var get = DatasetsV1.GetDatasetRequest()
      get.dataset = "set"
      #expect(try await client.getDataset(get).rows == 2_000)
    }
  }

  @Test func `Bad rows are listed and refused with FAILED_PRECONDITION, or skipped`() async throws {
    try await withService { client in
      let text = "{\"text\":\"a\"}\n{\n{\"te\\u0000\":1}\n"
      var results: [DatasetsV1.ImportResult?] = []
      let error = try await refusal {
        try await importFiles(client, [("a.jsonl", "", text)], results: &results)
      }
      #expect(error.code == .failedPrecondition)
      #expect(error.message.contains("2 bad rows; the first: a.jsonl:2: not JSON"))
      let result = try #require(results.first ?? nil)
      #expect(result.version == nil)
      #expect(result.badRows.map(\.line) == [2, 3])
      #expect(result.badRowsTotal == 2)
      let (skipped, _) = try await importFiles(client, [("a.jsonl", "", text)]) {
        $0.badRows = .skip
      }
      #expect(skipped?.version?.rows == 1)
      #expect(skipped?.version?.badRows == 2)
    }
  }

  @Test func `Options, columns and formats reach the import`() async throws {
    try await withService { client in
      let (result, _) = try await importFiles(client, [("a.txt", "dev", "x\ty\nQ\t1\n")]) {
        $0.columns = ["text": "x", "label": "y"]
        $0.labelNames = ["zero", "one"]
      } file: {
        $0.format = .tsv
      }
      #expect(result?.version?.splits.map(\.name) == ["dev"])
      #expect(result?.version?.labels.map(\.name) == ["one"])
      for change: (inout DatasetsV1.ImportOptions) -> Void in [
        { $0.columns = ["texts": "x"] }, { $0.badRows = .init(rawValue: 9) },
        { $0.kind = .init(rawValue: 9) }, { $0.name = "A" },
      ] {
        let error = try await refusal {
          _ = try await importFiles(client, [("a.txt", "", "a")], change)
        }
        #expect(error.code == .invalidArgument)
      }
    }
  }

  @Test func `Messages out of order are refused`() async throws {
    try await withService { client in
      var options = DatasetsV1.ImportDatasetRequest()
      options.part = .options(DatasetsV1.ImportOptions())
      var data = DatasetsV1.ImportDatasetRequest()
      data.part = .data([1])
      var named = DatasetsV1.ImportOptions()
      named.name = "set"
      var first = options
      first.part = .options(named)
      for requests in [[], [data], [options], [first], [first, data], [first, first]] {
        let error = try await refusal {
          let call = try await client.importDataset()
          for request in requests { try await call.requests.write(request) }
          call.requests.finish()
          for try await _ in call.responses {}
        }
        #expect(error.code == .invalidArgument, "\(error)")
      }
    }
  }

  @Test func `Unknown datasets and splits are answered with NOT_FOUND`() async throws {
    try await withService { client in
      var read = DatasetsV1.ReadRequest()
      (read.dataset, read.split) = ("ghost", "train")
      let error = try await refusal {
        for try await _ in try await client.read(read) {}
      }
      #expect(error.code == .notFound)
      var delete = DatasetsV1.DeleteDatasetRequest()
      delete.dataset = "ghost@1"
      let other = try await refusal { _ = try await client.deleteDataset(delete) }
      #expect(other.code == .notFound)
    }
  }

  // MARK: - Harness

  private func withService(
    _ body: (DatasetsV1.DatasetsClient) async throws -> Void
  ) async throws {
    let root = FileManager.default.temporaryDirectory.path + "/datasets-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: root) }
    let store = try await DataStore.open(directory: root, schemas: [DatasetStore.schema])
    var router = Router()
    router.register(DatasetsHandlers(datasets: DatasetStore(store: store)))
    let group = MultiThreadedEventLoopGroup.singleton
    let server = RPCServer(router: router, configuration: ServerConfiguration(), group: group)
    let port = try #require(try await server.start().port)
    let channel = RPCChannel(host: "127.0.0.1", port: port, group: group)
    do {
      try await body(DatasetsV1.DatasetsClient(channel))
    } catch {
      Issue.record(error)
    }
    await channel.close()
    await server.shutdown(grace: .seconds(1))
    try await store.close()
  }

  private func importFiles(
    _ client: DatasetsV1.DatasetsClient,
    _ files: [(name: String, split: String, text: String)],
    _ change: (inout DatasetsV1.ImportOptions) -> Void = { _ in },
    file changeFile: (inout DatasetsV1.FileStart) -> Void = { _ in }
  ) async throws -> (DatasetsV1.ImportResult?, [DatasetsV1.ImportProgress]) {
    var results: [DatasetsV1.ImportResult?] = []
    let progress = try await importFiles(
      client,
      files,
      results: &results,
      change,
      file: changeFile
    )
    return (results.first ?? nil, progress)
  }

  @discardableResult
  private func importFiles(
    _ client: DatasetsV1.DatasetsClient,
    _ files: [(name: String, split: String, text: String)],
    results: inout [DatasetsV1.ImportResult?],
    _ change: (inout DatasetsV1.ImportOptions) -> Void = { _ in },
    file changeFile: (inout DatasetsV1.FileStart) -> Void = { _ in }
  ) async throws -> [DatasetsV1.ImportProgress] {
    let call = try await client.importDataset()
    var options = DatasetsV1.ImportOptions()
    options.name = "set"
    change(&options)
    var request = DatasetsV1.ImportDatasetRequest()
    request.part = .options(options)
    try? await call.requests.write(request)
    for file in files {
      var start = DatasetsV1.FileStart()
      (start.name, start.split) = (file.name, file.split)
      start.sizeBytes = UInt64(file.text.utf8.count)
      changeFile(&start)
      request.part = .file(start)
      try? await call.requests.write(request)
      var rest = Array(file.text.utf8)[...]
      while !rest.isEmpty {
        request.part = .data(Array(rest.prefix(100_000)))
        try? await call.requests.write(request)
        rest = rest.dropFirst(100_000)
      }
    }
    call.requests.finish()
    var progress: [DatasetsV1.ImportProgress] = []
    for try await response in call.responses {
      switch response.part {
      case .progress(let state): progress.append(state)
      case .result(let message): results.append(message)
      case nil: break
      }
    }
    return progress
  }
}
