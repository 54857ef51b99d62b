import Files
import Foundation
import Testing

@testable import Trainer

@Suite("Checkpoints")
struct CheckpointTests {
  private let identity = TrainingState.Identity(configuration: "c", data: "d", model: "m")

  private func write(_ folder: CheckpointFolder, step: Int, best: Int? = nil) throws {
    var state = TrainingState(identity: identity)
    state.step = step
    state.lossSum = 0.1 + Double(step)
    state.bestWeightsStep = best
    let values = (0..<100).map { Float($0 + step) }
    try values.withUnsafeBufferPointer { try folder.write(state, [("weights", $0)]) }
  }

  private func writeBest(_ folder: CheckpointFolder, step: Int) throws {
    try [Float(step)].withUnsafeBufferPointer { try folder.writeBest(step: step, [("w", $0)]) }
  }

  private func damage(_ path: String, at offset: Int) throws {
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[offset < 0 ? bytes.count + offset : offset] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
  }

  @Test("what was written is read, bit for bit")
  func roundTrip() throws {
    let temporary = try TemporaryFolder()
    let path = "\(temporary.path)/file"
    let values: [Float] = [1, -0.0, .nan, .infinity, .leastNonzeroMagnitude]
    try values.withUnsafeBufferPointer { values in
      try CheckpointFile.write(
        path,
        header: Array("header".utf8),
        arrays: [
          ("a", values), ("b", UnsafeBufferPointer(rebasing: values[1..<3])),
          ("c", .init(start: nil, count: 0)),
        ]
      )
    }
    let content = try #require(try CheckpointFile.Content(path: path))
    #expect(content.header == Array("header".utf8))
    #expect(content.values("a")?.map(\.bitPattern) == values.map(\.bitPattern))
    #expect(content.values("b")?.map(\.bitPattern) == values[1..<3].map(\.bitPattern))
    #expect(content.values("c") == [])
    #expect(content.values("d") == nil)
    #expect(try FileSystem.entries(of: temporary.path) == ["file"])
  }

  @Test("any change of a byte and any lost end is noticed")
  func damages() throws {
    let temporary = try TemporaryFolder()
    let path = "\(temporary.path)/file"
    try [Float](repeating: 1, count: 9).withUnsafeBufferPointer {
      try CheckpointFile.write(path, header: [1, 2, 3], arrays: [("a", $0)])
    }
    let whole = try FileSystem.read(path)
    for offset in whole.indices {
      var bytes = whole
      bytes[offset] ^= 0x40
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      #expect(try CheckpointFile.Content(path: path)?.header == nil, "byte \(offset)")
    }
    for count in stride(from: 0, to: whole.count, by: 5) {
      try Data(whole[..<count]).write(to: URL(fileURLWithPath: path))
      #expect(try CheckpointFile.Content(path: path)?.header == nil, "\(count) bytes")
    }
  }

  @Test("what would be too long to be read is not written")
  func excess() throws {
    let temporary = try TemporaryFolder()
    let header = [UInt8](repeating: 0, count: CheckpointFile.headerBytesMax + 1)
    let error = trainerError {
      try CheckpointFile.write("\(temporary.path)/file", header: header, arrays: [])
    }
    #expect(error?.message.contains("\(header.count) bytes; at most") == true)
    #expect(try FileSystem.entries(of: temporary.path) == [])
  }

  @Test("evaluations are thinned to the last and the best so far of each slot")
  func thinning() {
    var random = RandomStream(seed: 1, .order, 0)
    var state = TrainingState(identity: identity)
    var bests: Set<Int> = []
    for step in 1...10_000 {
      let value = random.nextUnit() + Double(step) / 1_000
      let isBest = state.best.map { value > $0.value } ?? true
      state.keep(
        .init(step: step, epoch: 0, split: .dev, metrics: ["f1": value]),
        isBest: isBest,
        slotSteps: 100
      )
      if isBest {
        state.best = .init(step: step, epoch: 0, value: value)
        bests.insert(step)
      }
      #expect(state.evaluations.last?.step == step)
      #expect(state.evaluations.contains { $0.step == state.best?.step })
    }
    #expect(bests.count > 100)
    #expect((100...200).contains(state.evaluations.count))
    let others = state.evaluations.map(\.step).filter { !bests.contains($0) }
    #expect(others.allSatisfy { $0 % 100 == 0 })
  }

  @Test("the newest checkpoint is found, two are kept")
  func newest() throws {
    let temporary = try TemporaryFolder()
    let folder = try CheckpointFolder(path: "\(temporary.path)/a/b")
    #expect(try folder.newest(of: identity)?.state == nil)
    for step in [5, 10, 15] { try write(folder, step: step) }
    let found = try #require(try folder.newest(of: identity))
    #expect(found.state.step == 15)
    #expect(found.state.lossSum == 15.1)
    #expect(found.content.values("weights")?.first == 15)
    #expect(try FileSystem.entries(of: folder.path).count == 2)
  }

  @Test("a damaged checkpoint is passed over for the one before", arguments: [0, 40, 300, -1])
  func damaged(_ offset: Int) throws {
    let temporary = try TemporaryFolder()
    let folder = try CheckpointFolder(path: temporary.path)
    for step in [5, 10] { try write(folder, step: step) }
    let newest = try #require(try FileSystem.entries(of: folder.path).last)
    try damage("\(folder.path)/\(newest)", at: offset)
    let found = try #require(try folder.newest(of: identity))
    #expect(found.state.step == 5)
    #expect(found.damaged.count == 1)
    #expect(try FileSystem.entries(of: folder.path).count == 1)
  }

  @Test("an unfinished file is no checkpoint")
  func unfinished() throws {
    let temporary = try TemporaryFolder()
    let folder = try CheckpointFolder(path: temporary.path)
    try write(folder, step: 5)
    let file = try #require(try FileSystem.entries(of: folder.path).first)
    let bytes = try FileSystem.read("\(folder.path)/\(file)")
    try FileSystem.write(bytes[..<200], to: "\(folder.path)/step-000000009.checkpoint.tmp")
    #expect(try folder.newest(of: identity)?.state.step == 5)
  }

  @Test("a checkpoint of another run is refused and stays")
  func mismatch() throws {
    let temporary = try TemporaryFolder()
    let folder = try CheckpointFolder(path: temporary.path)
    try write(folder, step: 5)
    let other = TrainingState.Identity(configuration: "x", data: "y", model: "m")
    let error = trainerError { _ = try folder.newest(of: other) }
    #expect(error?.code == .checkpointMismatch)
    #expect(error?.message.contains("another configuration and data") == true)
    #expect(try folder.newest(of: identity)?.state.step == 5)
  }

  @Test("best weights are kept as long as a kept checkpoint names them")
  func best() throws {
    let temporary = try TemporaryFolder()
    let folder = try CheckpointFolder(path: temporary.path)
    for step in [10, 20, 30] {
      try writeBest(folder, step: step)
      try write(folder, step: step, best: step)
    }
    try write(folder, step: 40, best: 30)
    #expect(try folder.readBest(step: 30).values("w") == [30])
    // A result that no checkpoint names any more is computed again.
    try writeBest(folder, step: 50)
    #expect(try folder.newest(of: identity)?.state.step == 40)
    #expect(throws: TrainerError.self) { try folder.readBest(step: 50) }
    // Damaged best weights make their checkpoint useless.
    try writeBest(folder, step: 50)
    try write(folder, step: 50, best: 50)
    try damage("\(folder.path)/best-000000050.checkpoint", at: 60)
    #expect(try folder.newest(of: identity)?.state.step == 40)
  }
}
