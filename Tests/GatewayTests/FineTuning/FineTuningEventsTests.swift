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

@Suite("Events of a fine-tuning job") struct FineTuningEventsTests {
  private static let path = "/v1/fine_tuning/jobs/job-1/events"

  /// A gateway with one job that has the events of these steps.
  private func run(
    _ state: TrainingV1.JobState = .running,
    steps: [UInt64] = [1],
    adjust: (inout GatewaySettings) -> Void = { _ in },
    _ test: @escaping @Sendable (TestGateway, FakeTraining) async throws -> Void
  ) async throws {
    let training = FakeTraining()
    training.state.withLock {
      var job = TrainingV1.Job()
      job.id = "job-1"
      job.state = state
      $0.jobs = [job]
      $0.events = steps.map { FakeTraining.step($0) }
    }
    try await TestGateway.run(services: [training], adjust: adjust) { try await test($0, training) }
  }

  @Test("are listed from the newest, by page") func pages() async throws {
    try await run(steps: (1...10).map { $0 * 2 }) { gateway, training in
      func page(_ query: String) async throws -> ([Int], Bool) {
        let json = try await gateway.get("\(Self.path)\(query)").json
        let data = json["data"] as? [[String: Any]] ?? []
        return (data.compactMap { $0["created_at"] as? Int }, json["has_more"] as? Bool ?? false)
      }
      #expect(try await page("?limit=3") == ([20, 18, 16], true))
      #expect(try await page("?limit=3&after=ftevent-job-1-16") == ([14, 12, 10], true))
      #expect(try await page("?limit=9&after=ftevent-job-1-4") == ([2], false))
      #expect(try await page("") == (Array(stride(from: 20, through: 2, by: -2)), false))
      // After an event that is yet to come.
      for cursor in ["21", "9999999999", "18446744073709551615"] {
        #expect(try await page("?limit=2&after=ftevent-job-1-\(cursor)") == ([20, 18], true))
      }
      for query in ["?after=x", "?after=ftevent-job-2-3", "?limit=0", "?stream=maybe"] {
        let answer = try await gateway.get("\(Self.path)\(query)")
        #expect(answer.status == .badRequest, "\(query)")
      }
      try await eventually { training.watched.withLock { $0 } == 0 }
      #expect(gateway.server.load.eventStreamCount == 0)
    }
  }

  @Test("are streamed as they come until the job ends") func streams() async throws {
    try await run(.succeeded, steps: [1, 2, 3]) { gateway, _ in
      let answer = try await gateway.get("\(Self.path)?stream=true&after=ftevent-job-1-1")
      #expect(answer.headers[.contentType]?.hasPrefix("text/event-stream") == true)
      let lines = answer.text.components(separatedBy: "\n\n").filter { !$0.isEmpty }
      #expect(lines.count == 3 && lines.last == "data: [DONE]")
      #expect(lines[0].contains(#""id":"ftevent-job-1-2""#) && lines[0].contains("loss=0.5"))
      #expect(lines[0].contains(#""train_loss":0.5"#))
    }
  }

  @Test(
    "that do not come are waited for until the client leaves or the time is up",
    arguments: [true, false]
  )
  func silence(_ leaves: Bool) async throws {
    // The job says that it has more events than come: the page waits for the others.
    let adjust: (inout GatewaySettings) -> Void = {
      if !leaves { $0.limits.timeout = .milliseconds(50) }
    }
    try await run(adjust: adjust) { gateway, training in
      training.cursor.withLock { $0 = 5 }
      let client = try await RawClient.connect(port: gateway.client.port)
      try await client.send("GET \(Self.path) HTTP/1.1\r\nhost: x\r\n\r\n")
      if leaves {
        try await eventually { training.watched.withLock { $0 } == 1 }
        #expect(gateway.server.load.eventStreamCount == 1)
        try await client.close()
      } else {
        try await client.receive("HTTP/1.1 504")
      }
      try await eventually { training.watched.withLock { $0 } == 0 }
      try await eventually { gateway.server.load.eventStreamCount == 0 }
    }
  }

  @Test("are followed by a bounded number of clients at once") func bounded() async throws {
    try await run(adjust: { $0.load.eventStreamsMax = 2 }) { gateway, training in
      let clients = [
        try await RawClient.connect(port: gateway.client.port),
        try await RawClient.connect(port: gateway.client.port),
      ]
      for client in clients {
        try await client.send("GET \(Self.path)?stream=true HTTP/1.1\r\nhost: x\r\n\r\n")
        try await client.receive("ftevent-job-1-1")
      }
      for query in ["", "?stream=true"] {
        let refused = try await gateway.get(Self.path + query)
        #expect(refused.status == .tooManyRequests && refused.headers[.retryAfter] == "1")
      }
      #expect(try await gateway.get("/v1/fine_tuning/jobs/job-1").status == .ok)
      for client in clients { try await client.close() }
      try await eventually { gateway.server.load.eventStreamCount == 0 }
      try await eventually { training.watched.withLock { $0 } == 0 }
      #expect(try await gateway.get(Self.path).status == .ok)
    }
  }

  @Test("asked for by HEAD leave nothing behind") func head() async throws {
    try await run { gateway, training in
      let head = try await gateway.client.execute(uri: "\(Self.path)?stream=true", method: .head)
      #expect(head.status == .ok)
      try await eventually { training.watched.withLock { $0 } == 0 }
      #expect(gateway.server.load.eventStreamCount == 0)
    }
  }
}
