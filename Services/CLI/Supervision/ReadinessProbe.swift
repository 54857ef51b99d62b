package import AsyncHTTPClient
import NIOCore
import NIOHTTP1

/// Asks services on this machine how they are.
package struct ReadinessProbe: Sendable {
  /// How long one answer may take.
  static let timeout: TimeAmount = .seconds(2)
  /// The largest answer that is read.
  static let answerBytesMax = 1 << 20

  private let client: HTTPClient

  /// A probe that asks through `client`.
  package init(client: HTTPClient) {
    self.client = client
  }

  /// Whether the service with this admin port answers 200 on `/readyz`.
  package func isReady(adminPort: Int) async -> Bool {
    await get("readyz", adminPort: adminPort)?.status == .ok
  }

  /// Whole numbers among the metrics of the service with this admin port, in the order of their names, those of
  /// all labels added up; nil if it does not answer.
  package func samples(_ names: [String], adminPort: Int) async -> [Int]? {
    guard let response = await get("metrics", adminPort: adminPort), response.status == .ok,
      let body = try? await response.body.collect(upTo: Self.answerBytesMax)
    else { return nil }
    let sums = Self.sums(in: String(buffer: body))
    return names.map { sums[$0, default: 0] }
  }

  /// The sums of whole samples by name, from Prometheus' text format.
  static func sums(in text: String) -> [String: Int] {
    var sums: [String: Int] = [:]
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      guard let space = line.lastIndex(of: " "),
        let value = Double(line[line.index(after: space)...]), let whole = Int(exactly: value)
      else { continue }
      let name = String(line[..<(line.firstIndex { $0 == "{" || $0 == " " } ?? space)])
      let (sum, isTooLarge) = sums[name, default: 0].addingReportingOverflow(whole)
      if !isTooLarge { sums[name] = sum }
    }
    return sums
  }

  private func get(_ path: String, adminPort: Int) async -> HTTPClientResponse? {
    let request = HTTPClientRequest(url: "http://127.0.0.1:\(adminPort)/\(path)")
    return try? await client.execute(request, timeout: Self.timeout)
  }
}
