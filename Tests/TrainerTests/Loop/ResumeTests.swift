import Files
import Foundation
import Testing

@testable import Trainer

@Suite("Resuming a run")
struct ResumeTests {
  private let settings = ["dropout": "0.3", "evaluationsPerEpoch": "2", "checkpointSteps": "4"]

  /// Runs until it ends, cancelled after each of `stops` steps of its own; returns the table.
  private func broken(
    _ fixture: LoopFixture,
    stops: [Int],
    between: (String) throws -> Void = { _ in }
  ) throws -> (table: [Float], state: TrainingState) {
    for stop in stops {
      var steps = 0
      let loop = try fixture.loop(
        onEvent: { if case .step = $0 { steps += 1 } },
        isCancelled: { steps == stop }
      )
      let error = trainerError { try loop.run() }
      // A run may have been at its end.
      #expect(error == nil || error?.code == .cancelled)
      try between(fixture.folder.path)
    }
    let network = LinearNetwork(ids: LoopFixture.idCount, classes: 3)
    let loop = try fixture.loop(network: network)
    try loop.run()
    return (network.table, loop.state)
  }

  @Test(
    "a run that was stopped anywhere ends with the bits of one that was not",
    arguments: TrainingConfiguration.OptimizerKind.allCases
  )
  func bits(_ optimizer: TrainingConfiguration.OptimizerKind) throws {
    var all = settings.merging(["optimizer": optimizer.rawValue]) { $1 }
    if optimizer == .lbfgs { all.merge(["batchSize": "64", "epochs": "12"]) { $1 } }
    let reference = try LoopFixture(settings: all).unbroken()
    for seed in 0..<4 as Range<UInt64> {
      var random = RandomStream(seed: seed, .order, 1)
      let fixture = try LoopFixture(settings: all)
      let stops = (0..<6).map { _ in random.next(below: 12) }
      let table = try broken(fixture, stops: stops).table
      #expect(table.map(\.bitPattern) == reference.table.map(\.bitPattern), "stops \(stops)")
    }
  }

  @Test("a run that is stopped between steps loses none of them")
  func stop() throws {
    let settings = settings.merging(["checkpointSteps": "0", "evaluationsPerEpoch": "0"]) { $1 }
    let reference = try LoopFixture(settings: settings).unbroken()
    let fixture = try LoopFixture(settings: settings)
    let network = LinearNetwork(ids: LoopFixture.idCount, classes: 3)
    let events = Events()
    for stop in [0, 7, 0, 10] {
      var steps = 0
      let loop = try fixture.loop(
        network: network,
        onEvent: {
          if case .step = $0 { steps += 1 }
          events.append($0)
        },
        isCancelled: { steps == stop }
      )
      #expect(trainerError { try loop.run() }?.code == .cancelled)
    }
    #expect(events.losses.count == 17)
    // Nothing is written where there is nothing new.
    #expect(events.checkpoints == [7, 15, 17])
    try fixture.loop(network: network, onEvent: events.append).run()
    #expect(events.losses.count == 45)
    #expect(network.table.map(\.bitPattern) == reference.table.map(\.bitPattern))
  }

  @Test("learning curve, evaluations and best result are those of an unbroken run")
  func state() throws {
    let fixture = try LoopFixture(settings: settings)
    let other = try LoopFixture(settings: settings)
    let unbroken = try other.loop()
    try unbroken.run()
    let state = try broken(fixture, stops: [3, 7, 9, 11]).state
    #expect(state == unbroken.state)
    #expect(state.curve.count == 45)
  }

  @Test("a damaged checkpoint costs steps, not bits")
  func damaged() throws {
    let reference = try LoopFixture(settings: settings).unbroken()
    let fixture = try LoopFixture(settings: settings)
    let table = try broken(fixture, stops: [10, 9, 10]) { folder in
      let newest = try #require(
        try FileSystem.entries(of: folder).last { $0.hasPrefix("step-") }
      )
      var bytes = try FileSystem.read("\(folder)/\(newest)")
      bytes[bytes.count / 2] ^= 1
      try FileSystem.write(bytes, to: "\(folder)/\(newest)")
    }.table
    #expect(table.map(\.bitPattern) == reference.table.map(\.bitPattern))
  }

  @Test("a finished run that is started again ends at once with the same weights")
  func finished() throws {
    let fixture = try LoopFixture(settings: settings)
    let first = try broken(fixture, stops: []).table
    let events = Events()
    let network = LinearNetwork(ids: LoopFixture.idCount, classes: 3)
    try fixture.loop(network: network, onEvent: events.append).run()
    #expect(network.table == first)
    #expect(events.losses.isEmpty)
    #expect(events.all == [.resumed(step: 45, epoch: 3)])
  }

  @Test("another configuration or other data is refused")
  func mismatch() throws {
    var fixture = try LoopFixture(settings: settings)
    try fixture.loop().run()
    let identity = TrainingState.Identity(configuration: "a", data: "b", model: "linear")
    let data = trainerError { try fixture.loop(identity: identity).run() }
    #expect(data?.code == .checkpointMismatch)
    fixture.configuration.learningRate = 0.2
    let configuration = trainerError { try fixture.loop().run() }
    #expect(configuration?.message.contains("another configuration") == true)
  }

  @Test("the folder holds two checkpoints and the best weights, whatever the length of the run")
  func files() throws {
    let fixture = try LoopFixture(settings: ["epochs": "6", "checkpointSteps": "2"])
    let events = Events()
    try fixture.loop(onEvent: events.append).run()
    #expect(events.checkpoints.count > 20)
    let names = try FileSystem.entries(of: fixture.folder.path)
    #expect(names.filter { $0.hasPrefix("step-") }.count == 2)
    #expect(names.filter { $0.hasPrefix("best-") }.count <= 2)
    #expect(!names.contains { $0.hasSuffix(".tmp") })
  }
}
