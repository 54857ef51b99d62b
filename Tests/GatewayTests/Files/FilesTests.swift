import Foundation
import HTTPTypes
import HummingbirdTesting
import NIOCore
import RPC
import ServiceAPI
import ServiceKit
import Synchronization
import Testing

@testable import Gateway

@Suite("Files") struct FilesTests {
  private static let rows = "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"y\"}\n"

  private static func form(
    _ content: String,
    filename: String = "rows.jsonl",
    purpose: String? = "fine-tune"
  ) -> String {
    let purpose = purpose.map {
      "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n\($0)\r\n"
    }
    return "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\(filename)\"\r\n\r\n"
      + "\(content)\r\n\(purpose ?? "")--b--\r\n"
  }

  private func upload(
    _ gateway: TestGateway,
    _ body: String,
    type: String = "multipart/form-data; boundary=b"
  ) async throws -> TestResponse {
    try await gateway.client.execute(
      uri: "/v1/files",
      method: .post,
      headers: [.contentType: type],
      body: ByteBuffer(string: body)
    )
  }

  private func run(
    _ test: @escaping @Sendable (TestGateway, FakeDatasets) async throws -> Void
  ) async throws {
    let datasets = FakeDatasets()
    try await TestGateway.run(services: [datasets]) { try await test($0, datasets) }
  }

  @Test("an upload becomes a dataset of the file's id") func uploads() async throws {
    try await run { gateway, datasets in
      let file = try await upload(gateway, Self.form(Self.rows, filename: "C:\\\\x\\\\é.jsonl"))
      #expect(file.status == .ok)
      let id = try #require(file.json["id"] as? String)
      #expect(FileObject.isID(id) && datasets.rows(id, "train") == Self.rows)
      #expect(file.json["object"] as? String == "file" && file.json["bytes"] as? Int == 50)
      #expect(file.json["filename"] as? String == "é.jsonl")
      #expect(file.json["purpose"] as? String == "fine-tune")
      #expect(file.json["status"] as? String == "processed")
      let again = try await gateway.get("/v1/files/\(id)")
      #expect(again.text == file.text)
      #expect(try await gateway.get("/v1/files/\(id)/content").text == Self.rows)
    }
  }

  @Test("a full disk is said to be one, an overload is not") func storage() async throws {
    try await run { gateway, datasets in
      for (reason, status, code) in [
        (FailureReason.storageFull, HTTPResponse.Status(code: 507), "insufficient_storage"),
        (nil, .tooManyRequests, "rate_limit_exceeded"),
      ] as [(FailureReason?, HTTPResponse.Status, String)] {
        datasets.refusal.withLock {
          $0 = RPCError(.resourceExhausted, "write x", metadata: reason?.metadata ?? Metadata())
        }
        let answer = try await upload(gateway, Self.form(Self.rows))
        #expect(answer.status == status && answer.error("code") == code, "\(answer.text)")
        #expect((answer.headers[.retryAfter] == nil) == (reason != nil))
      }
    }
  }

  @Test("files are listed by page, and deleted") func lists() async throws {
    try await run { gateway, _ in
      var ids: [String] = []
      for _ in 0..<3 {
        let file = try await upload(gateway, Self.form(Self.rows))
        ids.append(try #require(file.json["id"] as? String))
      }
      func page(_ query: String) async throws -> ([String], Bool) {
        let json = try await gateway.get("/v1/files\(query)").json
        let data = json["data"] as? [[String: Any]] ?? []
        return (data.compactMap { $0["id"] as? String }, json["has_more"] as? Bool ?? false)
      }
      #expect(try await page("") == (ids.reversed(), false))
      #expect(try await page("?limit=2&order=asc") == (Array(ids[..<2]), true))
      #expect(try await page("?limit=2&order=asc&after=\(ids[1])") == ([ids[2]], false))
      #expect(try await page("?purpose=fine-tune").0.count == 3)
      #expect(try await page("?purpose=assistants").0.isEmpty)
      for query in ["?limit=0", "?limit=x", "?order=up", "?after=file-x", "?x=1"] {
        let status = try await gateway.get("/v1/files\(query)").status
        #expect(status == .badRequest, "\(query)")
      }
      let gone = try await gateway.client.execute(uri: "/v1/files/\(ids[0])", method: .delete)
      #expect(gone.text == #"{"id":"\#(ids[0])","object":"file","deleted":true}"#)
      #expect(try await gateway.get("/v1/files/\(ids[0])").status == .notFound)
      #expect(try await page("").0.count == 2)
    }
  }

  @Test(
    "what is wrong is refused by name",
    arguments: [
      (form("no JSON\n"), "file"), (form(rows, purpose: nil), "purpose"),
      (form(rows, purpose: "assistants"), "purpose"), (form(rows, filename: "/"), "file"),
      ("--b\r\nContent-Disposition: form-data; name=purpose\r\n\r\nfine-tune\r\n--b--", "file"),
      ("--b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n--b--", "x"),
      (form(rows).replacing("--b--\r\n", with: "") + form(rows), "file"),
      (String(form(rows).dropLast(6)), nil), ("--b\r\nX\r\n\r\n", nil),
    ] as [(String, String?)]
  )
  func refuses(_ body: String, _ parameter: String?) async throws {
    try await run { gateway, datasets in
      let answer = try await upload(gateway, body)
      #expect(answer.status == .badRequest)
      #expect((answer.json["error"] as? [String: Any])?["param"] as? String == parameter)
      #expect(datasets.stored.withLock { $0.isEmpty })
    }
  }

  @Test("downloads, and the heads of them, count themselves out") func counts() async throws {
    try await run { gateway, _ in
      let id = try #require(try await upload(gateway, Self.form(Self.rows)).json["id"] as? String)
      for method in [HTTPRequest.Method.get, .head] {
        let answer = try await gateway.client.execute(
          uri: "/v1/files/\(id)/content",
          method: method
        )
        #expect(answer.body.readableBytes == (method == .get ? Self.rows.utf8.count : 0))
      }
      try await eventually {
        gateway.metrics.exposition().contains("gateway_http_requests_in_flight 0")
      }
    }
  }

  @Test("bad rows are named by line") func badRows() async throws {
    try await run { gateway, _ in
      let answer = try await upload(gateway, Self.form("{}\nx\n{}\ny\n"))
      let error = answer.json["error"] as? [String: Any]
      #expect(error?["code"] as? String == "invalid_file")
      let message = error?["message"] as? String ?? ""
      #expect(message.contains("2 rows") && message.contains("line 2: is no JSON object"))
    }
  }

  @Test("other types, ids and methods are refused") func others() async throws {
    try await run { gateway, _ in
      #expect(try await upload(gateway, "{}", type: "application/json").status == .badRequest)
      for id in ["file-1", "nobody", "file-00000000000000000000000g"] {
        let answer = try await gateway.get("/v1/files/\(id)")
        #expect(answer.status == .notFound)
      }
      let wrong = try await gateway.client.execute(uri: "/v1/files", method: .put)
      #expect(wrong.status == .methodNotAllowed)
      #expect(wrong.headers[.allow] == "GET, HEAD, POST")
    }
  }
}
