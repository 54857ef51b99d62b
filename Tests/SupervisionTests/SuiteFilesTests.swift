import Foundation
import SystemPackage
import Testing

@testable import Supervision

/// A folder that is removed at the end of a test.
final class TemporaryFolder {
  let path: FilePath

  init() throws {
    let url = FileManager.default.temporaryDirectory
      .appending(path: "llmos-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = FilePath(url.path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path.string) }
}

@Suite("Files of a suite")
struct SuiteFilesTests {
  @Test("the lock is held by one at a time, and free again after its release")
  func lockIsExclusive() throws {
    let folder = try TemporaryFolder()
    let path = folder.path.appending("run").appending("lock")
    try SuiteLayout(home: folder.path).create()
    #expect(!SuiteLock.isHeld(path))
    let lock = try SuiteLock(path)
    #expect(SuiteLock.isHeld(path))
    let error = #expect(throws: SupervisionError.self) { try SuiteLock(path) }
    #expect(error?.message == "a suite already runs on \(folder.path)")
    lock.release()
    #expect(!SuiteLock.isHeld(path))
  }

  @Test("a description left behind by a killed supervisor is not believed")
  func staleDescription() throws {
    let folder = try TemporaryFolder()
    let layout = SuiteLayout(home: folder.path)
    try layout.create()
    let written = SuiteDescription(
      pid: ProcessInfo.processInfo.processIdentifier,
      replicas: [.gateway: 1],
      processes: [
        SuiteProcess(
          ServiceInstance(.gateway),
          run: 1,
          ports: ServicePorts(rpc: nil, admin: 8100, http: 8080)
        )
      ]
    )
    try written.write(to: layout.description)
    #expect(SuiteDescription.running(on: layout) == nil)
    let lock = try SuiteLock(layout.lock)
    defer { lock.release() }
    #expect(SuiteDescription.running(on: layout) == written)
    #expect(written.gateway == "http://127.0.0.1:8080")
  }

  @Test("the last line of a log is found, whatever its size")
  func logTail() throws {
    let folder = try TemporaryFolder()
    let path = folder.path.appending("a.log")
    #expect(LogTail.lastLine(of: path) == nil)
    for text in [
      "", "one", "one\ntwo\n\n", String(repeating: "long line\n", count: 2000) + "two\n",
    ] {
      try Data(text.utf8).write(to: URL(filePath: path.string))
      let expected = text.split(separator: "\n").last.map(String.init)
      #expect(LogTail.lastLine(of: path) == expected)
    }
  }

  @Test("a service is told where services of earlier waves are; the gateway, where all are")
  func peers() throws {
    var started: Set<Service> = []
    for wave in Service.waves {
      for service in wave {
        #expect(service.peers.allSatisfy { started.contains($0.service) })
      }
      started.formUnion(wave)
    }
    #expect(started == Set(Service.allCases))
    #expect(
      Set(Service.gateway.peers.map(\.service))
        == Set(Service.allCases).subtracting([.gateway, .inference])
    )
    let layout = SuiteLayout(home: "/home/suite")
    let options = SuiteSupervisor.Options(layout: layout, executables: "/bin", demoModels: nil)
    let gateway = options.process(
      ServiceInstance(.gateway),
      ports: [ServiceInstance(.tokenizer): ServicePorts(rpc: 4711, admin: nil, http: nil)],
      desired: DesiredState()
    )
    let arguments = gateway.arguments.joined(separator: " ")
    #expect(arguments.contains("--tokenizer.address 127.0.0.1:4711"))
    #expect(arguments.contains("--inference.addresses file:/home/suite/run/inference.addresses"))
  }

  @Test("replicas have files of their own, ports of the system's choice, and a share of processors")
  func replicas() throws {
    let layout = SuiteLayout(home: "/home/suite")
    let options = SuiteSupervisor.Options(layout: layout, executables: "/bin", demoModels: nil)
    var desired = DesiredState()
    desired.set(try ReplicaCount(.inference, 3))
    let second = ServiceInstance(.inference, 2)
    let process = options.process(second, ports: [:], desired: desired)
    #expect(process.log == "/home/suite/logs/inference-2.log")
    let arguments = process.arguments.joined(separator: " ")
    #expect(arguments.contains("--rpc.port 0 --admin.port 0"))
    #expect(arguments.contains("--ports.file /home/suite/run/inference-2.ports.json"))
    #expect(arguments.contains("--compute.replicas 3"))
  }

  @Test("the home folder is LLMOS_HOME, else ~/.llmos")
  func home() {
    #expect(SuiteLayout.defaultHome(environment: ["LLMOS_HOME": "/a", "HOME": "/b"]) == "/a")
    #expect(SuiteLayout.defaultHome(environment: ["LLMOS_HOME": "", "HOME": "/b"]) == "/b/.llmos")
  }
}
