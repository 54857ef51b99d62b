import Foundation
import Testing

@testable import ServiceKit

@Suite struct Exposition {
  @Test func `the text is exactly the format 0 0 4`() {
    let metrics = MetricsRegistry()
    let requests = metrics.counter(
      "llmos_requests",
      help: "Requests, by \"method\".\nSecond \\ line.",
      labels: ["method", "code"]
    )
    requests["encode", "OK"].add()
    requests["encode", "OK"].add(2)
    requests["a\"b\\c\nd", "é"].add(0.5)
    metrics.gauge("vllm:num_requests_running", help: "Running.", labels: ["model_name"])["m"]
      .set(3)
    metrics.gauge("idle", help: "Idle.").set(-0.25)
    let seconds = metrics.histogram(
      "latency_seconds",
      help: "Latency.",
      labels: ["path"],
      buckets: [0.005, 0.5, 1]
    )
    for value in [0.0009765625, 0.25, 0.5, 2] { seconds["x"].observe(value) }
    metrics.gauge("callback", help: "Read late.", labels: ["k"]) {
      [(["b"], .infinity), (["a"], .nan), (["too", "many"], 1)]
    }
    metrics.counter("read", help: "Read.") { 1e21 }
    #expect(
      metrics.exposition() == """
        # HELP callback Read late.
        # TYPE callback gauge
        callback{k="b"} +Inf
        callback{k="a"} NaN
        # HELP idle Idle.
        # TYPE idle gauge
        idle -0.25
        # HELP latency_seconds Latency.
        # TYPE latency_seconds histogram
        latency_seconds_bucket{path="x",le="0.005"} 1
        latency_seconds_bucket{path="x",le="0.5"} 3
        latency_seconds_bucket{path="x",le="1"} 3
        latency_seconds_bucket{path="x",le="+Inf"} 4
        latency_seconds_sum{path="x"} 2.7509765625
        latency_seconds_count{path="x"} 4
        # HELP llmos_requests_total Requests, by "method".\\nSecond \\\\ line.
        # TYPE llmos_requests_total counter
        llmos_requests_total{method="a\\"b\\\\c\\nd",code="é"} 0.5
        llmos_requests_total{method="encode",code="OK"} 3
        # HELP read_total Read.
        # TYPE read_total counter
        read_total 1e+21
        # HELP vllm:num_requests_running Running.
        # TYPE vllm:num_requests_running gauge
        vllm:num_requests_running{model_name="m"} 3

        """
    )
  }

  @Test func `a metric without labels is exposed before its first event`() {
    let metrics = MetricsRegistry()
    _ = metrics.counter("starts_total", help: "Starts.")
    _ = metrics.histogram("size_bytes", help: "Sizes.", buckets: [10])
    #expect(metrics.exposition().contains("\nstarts_total 0\n"))
    #expect(metrics.exposition().contains("\nsize_bytes_bucket{le=\"10\"} 0\n"))
    #expect(metrics.exposition().contains("\nsize_bytes_count 0\n"))
  }

  @Test func `a metric with labels and no series shows its head only`() {
    let metrics = MetricsRegistry()
    _ = metrics.gauge("g", help: "G.", labels: ["a"])
    #expect(metrics.exposition() == "# HELP g G.\n# TYPE g gauge\n")
  }

  @Test func `asking twice gives the same metric`() {
    let metrics = MetricsRegistry()
    metrics.counter("a", help: "A.").add()
    metrics.counter("a_total", help: "A.").add()
    #expect(metrics.exposition().hasSuffix("\na_total 2\n"))
  }

  @Test func `label values beyond the bound share one series`() {
    let metrics = MetricsRegistry()
    let family = metrics.counter("c", help: "C.", labels: ["user"], seriesMax: 3)
    for user in 0..<1000 { family["u\(user)"].add() }
    #expect(
      metrics.exposition().split(separator: "\n").dropFirst(2).sorted() == [
        "c_total{user=\"other\"} 997", "c_total{user=\"u0\"} 1", "c_total{user=\"u1\"} 1",
        "c_total{user=\"u2\"} 1",
      ]
    )
  }

  @Test func `a removed gauge is no longer exposed`() {
    let metrics = MetricsRegistry()
    let family = metrics.gauge("up", help: "Up.", labels: ["replica"])
    family["a"].set(1)
    family["b"].set(1)
    family.remove("a")
    #expect(metrics.exposition().hasSuffix("gauge\nup{replica=\"b\"} 1\n"))
  }

  @Test func `threads add without loss`() async {
    let metrics = MetricsRegistry()
    let counter = metrics.counter("n", help: "N.")
    let histogram = metrics.histogram("h", help: "H.", buckets: [1])
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          for _ in 0..<10_000 {
            counter.add()
            histogram.observe(0.5)
          }
        }
      }
    }
    #expect(metrics.exposition().contains("n_total 80000\n"))
    #expect(metrics.exposition().contains("h_count 80000\n"))
    #expect(metrics.exposition().contains("h_sum 40000\n"))
  }

  @Test func `the process describes itself`() throws {
    let metrics = MetricsRegistry()
    ProcessMetrics.register(in: metrics)
    var values: [String: Double] = [:]
    for line in metrics.exposition().split(separator: "\n") where !line.hasPrefix("#") {
      let parts = line.split(separator: " ")
      values[String(parts[0])] = Double(parts[1])
    }
    #expect(try #require(values["process_resident_memory_bytes"]) > 1e6)
    #expect(try #require(values["process_virtual_memory_bytes"]) > 1e6)
    #expect(try #require(values["process_cpu_seconds_total"]) > 0)
    #expect(try #require(values["process_open_fds"]) >= 3)
    #expect(try #require(values["process_max_fds"]) >= 64)
    let start = try #require(values["process_start_time_seconds"])
    #expect(abs(Date().timeIntervalSince1970 - start) < 3600)
  }

  @Test func `a folder's file system is shown, and NaN for one that is not there`() throws {
    func values(_ folder: String) throws -> (size: Double, available: Double) {
      let metrics = MetricsRegistry()
      StorageMetrics.register(folder: folder, in: metrics)
      let lines = metrics.exposition().split(separator: "\n").filter { !$0.hasPrefix("#") }
      let numbers = lines.compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
      try #require(numbers.count == 2 && lines[0].hasPrefix("llmos_storage_available_bytes "))
      return (numbers[1], numbers[0])
    }
    let temporary = try values(NSTemporaryDirectory())
    #expect(temporary.size > 1e6 && (0...temporary.size).contains(temporary.available))
    #expect(try values("/not/there").size.isNaN)
  }
}
