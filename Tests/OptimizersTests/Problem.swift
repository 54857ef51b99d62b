import Foundation
import JSON
import Optimizers
import Tensors

/// The problems of Tests/Fixtures/optimizers/generate.py, with gradients in double precision.
final class Problem {
  enum Kind: String { case logistic, rosenbrock }

  static let start: [Float] = [-0.5, 0.25, 1, -1.25, 0.75, 0.5]

  let kind: Kind
  /// Five weights and a bias, then their gradients.
  private let memory: UnsafeMutableBufferPointer<Float>

  init(_ kind: Kind = .logistic) {
    self.kind = kind
    memory = .allocate(capacity: 12)
    _ = memory.initialize(from: Self.start + Array(repeating: 0, count: 6))
  }

  deinit { memory.deallocate() }

  func part(_ range: Range<Int>) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(rebasing: memory[range])
  }

  var weight: ParameterBuffer {
    ParameterBuffer(name: "weight", values: part(0..<5), gradients: part(6..<11), isDecayed: true)
  }

  var bias: ParameterBuffer {
    ParameterBuffer(name: "bias", values: part(5..<6), gradients: part(11..<12), isDecayed: false)
  }

  var values: [Float] { Array(part(0..<6)) }
  var gradients: UnsafeMutableBufferPointer<Float> { part(6..<12) }

  /// Adds to the gradients; returns the loss.
  func evaluate() -> Double {
    let x = values.map(Double.init)
    let (loss, gradient) = kind == .logistic ? Self.logistic(x) : Self.rosenbrock(x)
    for index in 0..<6 { gradients[index] += Float(gradient[index]) }
    return loss
  }

  private static func logistic(_ x: [Double]) -> (Double, [Double]) {
    let fixture = Fixture.shared
    var loss = 0.0
    var gradient = [Double](repeating: 0, count: 6)
    for (row, label) in zip(fixture.rows, fixture.labels) {
      let z = zip(row, x).reduce(0) { $0 + $1.0 * $1.1 } + x[5]
      loss += log1p(exp(-label * z)) / Double(fixture.rows.count)
      // d/dz log(1 + exp(-y z)) = -y / (1 + exp(y z))
      let slope = -label / (1 + exp(label * z)) / Double(fixture.rows.count)
      for index in 0..<5 { gradient[index] += slope * row[index] }
      gradient[5] += slope
    }
    for index in 0..<5 {
      loss += fixture.penalty / 2 * x[index] * x[index]
      gradient[index] += fixture.penalty * x[index]
    }
    return (loss, gradient)
  }

  private static func rosenbrock(_ x: [Double]) -> (Double, [Double]) {
    var loss = 0.0
    var gradient = [Double](repeating: 0, count: 6)
    for index in 0..<5 {
      let gap = x[index + 1] - x[index] * x[index]
      loss += 10 * gap * gap + (1 - x[index]) * (1 - x[index])
      gradient[index] += -40 * x[index] * gap - 2 * (1 - x[index])
      gradient[index + 1] += 20 * gap
    }
    return (loss, gradient)
  }
}

/// What generate.py wrote.
struct Fixture {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Fixtures/optimizers")

  static let shared = Result {
    try Fixture(Data(contentsOf: folder.appending(path: "trajectories.json")))
  }.loaded

  let rows: [[Double]]
  let labels: [Double]
  let penalty: Double
  let cases: [Case]

  init(_ data: Data) throws {
    let root = try JSONReader.parse(Array(data))
    rows = root["rows"].elements.map { $0.elements.map(\.double) }
    labels = root["labels"].elements.map(\.double)
    penalty = root["penalty"].double
    cases = root["cases"].elements.map(Case.init)
  }

  private init() { (rows, labels, penalty, cases) = ([], [], 0, []) }

  fileprivate static let missing = Fixture()

  static let python: String = {
    let environment = ProcessInfo.processInfo.environment
    let peers = environment["LLMOS_PEERS"] ?? "\(environment["HOME"] ?? "")/.cache/llmos-peers"
    return "\(peers)/venv/bin/python"
  }()

  static var hasPeers: Bool { FileManager.default.isExecutableFile(atPath: python) }

  /// Every step of every case, from PyTorch itself.
  static func live() throws -> Fixture {
    let process = Process()
    process.executableURL = URL(filePath: python)
    process.arguments = ["-B", folder.appending(path: "generate.py").path, "--all"]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let data = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return try Fixture(data)
  }
}

extension Result<Fixture, any Error> {
  /// The fixture; one without cases, on which tests fail, if it cannot be read.
  fileprivate var loaded: Fixture { (try? get()) ?? .missing }
}

/// One optimizer on one problem.
struct Case: CustomStringConvertible {
  let json: JSONValue
  /// Parameters after some steps, which count from 1.
  let points: [(step: Int, values: [Double])]
  /// The learning rates of those steps.
  let rates: [Double]

  init(_ json: JSONValue) {
    self.json = json
    var points: [(step: Int, values: [Double])] = []
    if case .object(let object) = json["points"] {
      points = object.members.map { (Int($0.key) ?? 0, $0.value.elements.map(\.double)) }
    }
    self.points = points
    rates = json["rates"].elements.map(\.double)
  }

  var description: String { json["name"].text }
  var algorithm: String { json["algorithm"].text }
  var rate: Double { json["rate"].double }
  var kind: Problem.Kind { Problem.Kind(rawValue: json["problem"].text) ?? .logistic }
  var normMax: Double? { json["clip"].optional }

  func option(_ name: String) -> Double? { json["options"][name].optional }

  /// The rate of a step, which counts from 0.
  func schedule() throws -> (Int) -> Double {
    let decay: LearningRateSchedule.Decay
    let warmUp: LearningRateSchedule.WarmUp
    var total = 50
    switch json["schedule"].text {
    case "linear": (decay, warmUp, total) = (.linear, .before(steps: 5), 45)
    case "constant": (decay, warmUp) = (.constant, .before(steps: 7))
    case "cosine after warm-up": (decay, warmUp) = (.cosine(floor: 0), .before(steps: 8))
    case "cosine": (decay, warmUp, total) = (.cosine(floor: 0.05), .over(steps: 10), 40)
    default: (decay, warmUp) = (.constant, .before(steps: 0))
    }
    let schedule = try LearningRateSchedule(
      peak: rate,
      decay: decay,
      warmUp: warmUp,
      totalSteps: total
    )
    return schedule.learningRate(at:)
  }
}

extension JSONValue {
  subscript(key: String) -> JSONValue {
    if case .object(let object) = self { object[key] ?? .null } else { .null }
  }

  var elements: [JSONValue] { if case .array(let array) = self { array } else { [] } }
  var text: String { if case .string(let string) = self { string } else { "" } }
  var double: Double { optional ?? .nan }

  var optional: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    case .boolean(let value): value ? 1 : 0
    default: nil
    }
  }
}
