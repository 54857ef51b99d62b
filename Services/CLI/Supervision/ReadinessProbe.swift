package import AsyncHTTPClient
import NIOCore
import NIOHTTP1

/// Asks services on this machine whether they are ready.
package struct ReadinessProbe: Sendable {
  /// How long one answer may take.
  static let timeout: TimeAmount = .seconds(2)

  private let client: HTTPClient

  /// A probe that asks through `client`.
  package init(client: HTTPClient) {
    self.client = client
  }

  /// Whether the service with this admin port answers 200 on `/readyz`.
  package func isReady(adminPort: Int) async -> Bool {
    let request = HTTPClientRequest(url: "http://127.0.0.1:\(adminPort)/readyz")
    guard let response = try? await client.execute(request, timeout: Self.timeout) else {
      return false
    }
    return response.status == .ok
  }
}
