import Foundation
import SystemPackage
import Testing

@testable import Supervision

@Suite("Desired state")
struct DesiredStateTests {
  @Test("names of processes are read and written, others are not names")
  func names() {
    for service in Service.allCases {
      for instance in ServiceInstance.all(of: service, count: service.replicaCounts.upperBound) {
        #expect(ServiceInstance("\(instance)") == instance)
      }
    }
    #expect("\(ServiceInstance(.inference, 2))" == "inference-2")
    #expect("\(ServiceInstance(.data))" == "data")
    for name in [
      "", "inference", "inference-", "inference-0", "inference-65", "inference-02", "inference--1",
      "data-1", "Data", "inference-2 ", "../data",
    ] {
      #expect(ServiceInstance(name) == nil, "\(name)")
    }
  }

  @Test("a number of replicas is read; what cannot be is refused by name")
  func counts() throws {
    let count = try ReplicaCount(parsing: "inference=64")
    #expect(count.service == .inference && count.count == 64)
    #expect(try ReplicaCount(parsing: "tokenizer=1").count == 1)
    for (text, reason) in [
      ("inference=0", "from 1 to 64"), ("inference=65", "from 1 to 64"),
      ("inference=-1", "from 1 to 64"), ("tokenizer=2", "tokenizer runs as one process"),
      ("gateway=0", "gateway runs as one process"), ("engine=2", "no service is called 'engine'"),
      ("inference", "not SERVICE=NUMBER"), ("inference=", "not SERVICE=NUMBER"),
      ("inference=3=4", "not SERVICE=NUMBER"), ("inference=two", "not SERVICE=NUMBER"),
      ("=3", "no service is called ''"), ("inference=99999999999999999999", "not SERVICE=NUMBER"),
    ] {
      let error = #expect(throws: SupervisionError.self) { try ReplicaCount(parsing: text) }
      #expect(error?.message.contains(reason) == true, "\(text): \(error?.message ?? "")")
    }
  }

  @Test("is the same after writing and reading")
  func roundTrip() throws {
    let folder = try TemporaryFolder()
    let path = folder.path.appending("desired.json")
    var state = DesiredState()
    state.set(try ReplicaCount(.inference, 3))
    state.replaced = [ServiceInstance(.inference, 2): 17, ServiceInstance(.tokenizer): 4]
    try state.write(to: path)
    #expect(try DesiredState.read(path) == state)
    #expect(
      state.instances.map(\.description) == [
        "data", "tokenizer", "inference-1", "inference-2", "inference-3", "training", "gateway",
      ]
    )
  }

  @Test(
    "files that no command line wrote are refused with their path and what is wrong",
    arguments: [
      ("", "JSON"), ("null", "null"), ("[]", "array"), ("{", "JSON"),
      (#"{"replicas":{"inference":65}}"#, "from 1 to 64"),
      (#"{"replicas":{"engine":1}}"#, "engine"), (#"{"replicas":{"data":2}}"#, "data"),
      (#"{"replicas":{"inference":"3"}}"#, "inference"),
      (#"{"replaced":{"inference-99":1}}"#, "inference-99"),
      (#"{"replaced":{"inference-1":1e40}}"#, "JSON"),
      (String(repeating: " ", count: DesiredState.bytesMax + 1), "bytes"),
    ]
  )
  func badFiles(text: String, reason: String) throws {
    let folder = try TemporaryFolder()
    let path = folder.path.appending("desired.json")
    try Data(text.utf8).write(to: URL(filePath: path.string))
    let error = #expect(throws: SupervisionError.self) { try DesiredState.read(path) }
    #expect(error?.message.contains(path.string) == true)
    #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
  }

  @Test("a file that is missing, or a folder, is an error with its path")
  func missingFile() throws {
    let folder = try TemporaryFolder()
    for path in [folder.path, folder.path.appending("nothing.json")] {
      let error = #expect(throws: SupervisionError.self) { try DesiredState.read(path) }
      #expect(error?.message.contains(path.string) == true)
    }
  }

  @Test("changes of several at once are all kept")
  func concurrentChanges() async throws {
    let folder = try TemporaryFolder()
    let layout = SuiteLayout(home: folder.path)
    try layout.create()
    try DesiredState().write(to: layout.desired)
    let instances = ServiceInstance.all(of: .inference, count: 8)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for instance in instances {
        group.addTask {
          for _ in 0..<5 {
            try DesiredState.change(on: layout) { $0.replaced[instance, default: 0] += 1 }
          }
        }
      }
      try await group.waitForAll()
    }
    let state = try DesiredState.read(layout.desired)
    #expect(state.replaced == Dictionary(uniqueKeysWithValues: instances.map { ($0, 5) }))
  }
}

@Suite("What is told of processes")
struct ProcessFiguresTests {
  @Test("a description lists processes in the order in which they start, and finds the gateway")
  func description() throws {
    var gateway = SuiteProcess(
      ServiceInstance(.gateway),
      run: 9,
      ports: ServicePorts(rpc: nil, admin: 8100, http: 8123)
    )
    gateway.state = .ready
    var replica = SuiteProcess(
      ServiceInstance(.inference, 10),
      run: 8,
      ports: ServicePorts(rpc: 4711, admin: 4712, http: nil)
    )
    #expect(replica.address == nil)
    replica.state = .ready
    #expect(replica.address == "127.0.0.1:4711")
    replica.state = .draining
    #expect(replica.address == nil)
    replica.failure = "it ended (killed)"
    let processes = [
      gateway, replica, SuiteProcess(ServiceInstance(.inference, 9), run: 7),
      SuiteProcess(ServiceInstance(.data), run: 1),
    ]
    let description = SuiteDescription(pid: 1, replicas: [.inference: 10], processes: processes)
    #expect(
      description.processes.map { "\($0.instance)" }
        == ["data", "inference-9", "inference-10", "gateway"]
    )
    #expect(description.gateway == "http://127.0.0.1:8123")
    #expect(description.processes(of: .inference).map(\.instance.number) == [9, 10])
    #expect(description[ServiceInstance(.inference, 10)] == replica)
    let data = try JSONEncoder().encode(description)
    #expect(try JSONDecoder().decode(SuiteDescription.self, from: data) == description)
  }

  @Test("samples of all labels are added up by name")
  func samples() {
    let sums = ReadinessProbe.sums(
      in: """
        # HELP vllm:num_requests_running Sequences being generated.
        # TYPE vllm:num_requests_running gauge
        vllm:num_requests_running{model_name="a b{c"} 3
        vllm:num_requests_running{model_name="d"} 4
        vllm:num_requests_waiting 5
        process_cpu_seconds_total 1.5
        strange NaN
        huge 1e300
        nothing

        """
    )
    #expect(sums == ["vllm:num_requests_running": 7, "vllm:num_requests_waiting": 5])
  }

  @Test("resident memory is read from the status of a process")
  func residentMemory() throws {
    #expect(ResidentMemory.parse(status: "Name:\tx\nVmRSS:\t   12 kB\nThreads:\t1\n") == 12 << 10)
    #expect(ResidentMemory.parse(status: "Name:\tkthreadd\n") == nil)
    #expect(try #require(ResidentMemory.bytes(of: getpid())) > 1 << 20)
    #expect(ResidentMemory.bytes(of: -1) == nil)
  }

  @Test("a port that others listen on is left to the system's choice")
  func ports() throws {
    let (taken, port) = try listen()
    let ports = ServicePorts(rpc: port, admin: 0, http: nil)
    #expect(ports.freeOrChosenBySystem == ServicePorts(rpc: 0, admin: 0, http: nil))
    close(taken)
    #expect(ports.freeOrChosenBySystem == ports)
    #expect(!ServicePorts.isFree(-1))
    #expect(!ServicePorts.isFree(65_536))
  }

  /// A socket that listens on a port of the system's choice.
  private func listen() throws -> (CInt, Int) {
    let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    try #require(descriptor >= 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        #expect(bind(descriptor, $0, length) == 0)
        #expect(Glibc.listen(descriptor, 1) == 0)
        #expect(getsockname(descriptor, $0, &length) == 0)
      }
    }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
  }
}
