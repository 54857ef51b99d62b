package import Checkpoints
import Synchronization
package import Tensors

/// What a model in training ends in.
package enum ModelHead: Sendable, Equatable {
  /// The head that the checkpoint has.
  case asStored
  /// A classifier of each token.
  case tokenClassification(labels: [String])
  /// A classifier of the text.
  case sequenceClassification(labels: [String])
}

/// A model whose weights are f32 and may be changed between runs.
///
/// `step` and `evaluate` have one caller at a time, on a thread outside the cooperative pool; a
/// second caller stops the process. Weights and gradients must not be touched while they run.
package final class TrainableModel: Sendable {
  /// The model that `save` writes.
  package let configuration: ModelConfiguration
  /// The weights in the order of their use, each once.
  package let parameters: [Parameter]
  /// Bytes of the weights and of the gradients.
  package var parameterBytes: Int { 2 * weightBytes }
  /// The pool that computes.
  package let threads: ThreadPool

  let document: ConfigurationDocument
  private let architecture: any Architecture
  private let limits: ModelLimits
  private let weightBytes: Int
  private let executor: Executor
  private let programs = Mutex<[ProgramClass: Program]>([:])
  private let isRunning = Atomic<Bool>(false)

  /// What a program is made for.
  private struct ProgramClass: Hashable {
    let rows: Int
    let sequenceTokens: Int
    /// Nil without a reverse pass.
    let dropout: Float?
  }

  /// Loads `config.json` and `model.safetensors` from `folder`, converted to f32, for training with
  /// `head`.
  ///
  /// A head that the checkpoint lacks, or has for other labels, is new: N(0, 0.02) drawn from
  /// `seed`, biases 0. Checkpoints of a bare encoder (`BertModel`) load too.
  ///
  /// Throws `invalidModel`, `unsupported` or `memoryLimit`.
  package convenience init(
    folder: String,
    head: ModelHead = .asStored,
    threads: ThreadPool,
    seed: UInt64,
    limits: ModelLimits = ModelLimits()
  ) throws(ModelError) {
    var document: ConfigurationDocument
    let file: SafetensorsFile
    let isNewHead: Bool
    do throws(CheckpointError) {
      document = try ConfigurationDocument(folder: folder)
      file = try SafetensorsFile(path: "\(folder)/model.safetensors")
      isNewHead = try document.apply(head)
    } catch {
      throw ModelError(error)
    }
    let names = Set(file.tensorNames)
    try self.init(document, file: file, threads: threads, seed: seed, limits: limits) { name in
      if name.hasPrefix("classifier.") { return isNewHead }
      return name.hasPrefix("bert.pooler.") && !names.contains(name)
        && !names.contains(String(name.dropFirst("bert.".count)))
    }
  }

  /// Makes the model that `configuration` describes, with new weights drawn from `seed`.
  ///
  /// Throws `invalidModel`, `unsupported` or `memoryLimit`.
  package convenience init(
    configuration: ConfigurationDocument,
    threads: ThreadPool,
    seed: UInt64,
    limits: ModelLimits = ModelLimits()
  ) throws(ModelError) {
    try self.init(configuration, file: nil, threads: threads, seed: seed, limits: limits) { _ in
      true
    }
  }

  private init(
    _ document: ConfigurationDocument,
    file: SafetensorsFile?,
    threads: ThreadPool,
    seed: UInt64,
    limits: ModelLimits,
    isNew: @escaping @Sendable (String) -> Bool
  ) throws(ModelError) {
    do throws(CheckpointError) {
      configuration = try document.configuration()
    } catch {
      throw ModelError(error)
    }
    var weights = WeightLoader(
      file: file,
      threads: threads,
      byteCountMax: limits.weightBytesMax,
      initializer: WeightInitializer(seed: seed),
      isNew: isNew
    )
    architecture = try ArchitectureRegistry.type(for: configuration).init(configuration, &weights)
    parameters = try weights.tensors.map { tensor throws(ModelError) in
      do throws(TensorError) {
        let storage = try Storage(byteCount: tensor.storage.byteCount)
        storage.base.initializeMemory(as: UInt8.self, repeating: 0, count: storage.byteCount)
        let gradient = Tensor(
          name: tensor.name,
          dtype: .float32,
          shape: tensor.shape,
          storage: storage
        )
        return Parameter(tensor: tensor, gradient: gradient, isDecayed: tensor.shape.rank >= 2)
      } catch {
        throw ModelError(error, tensor.name)
      }
    }
    weightBytes = weights.byteCount
    self.document = document
    self.threads = threads
    self.limits = limits
    executor = Executor(threads: threads, arenaBytesMax: limits.arenaBytesMax)
  }

  /// Bytes of intermediate values of a step (of `evaluate`, with `dropout` nil) with at most `rows`
  /// tokens in sequences of at most `sequenceTokens`; beside them, `parameterBytes` are in use.
  ///
  /// Throws `memoryLimit` when the plan overflows or exceeds the limit.
  package func peakBytes(
    rows: Int,
    sequenceTokens: Int,
    dropout: Float?
  ) throws(ModelError) -> Int {
    try program(rows: rows, sequenceTokens: sequenceTokens, dropout: dropout).peakBytes
  }

  /// Runs the model and its reverse pass: adds the gradients of the loss to those of the
  /// parameters, and returns the loss.
  ///
  /// The loss is `scale` times the sum of the labelled rows' cross entropies. `dropout` in 0..<1 is
  /// that of every place where the architecture has one.
  ///
  /// Throws `invalidInput` for a batch that is empty or inconsistent, `memoryLimit` for one that is
  /// too large; gradients are then as before.
  package func step(
    _ batch: PackedBatch,
    scale: Float,
    dropout: Float
  ) throws(ModelError) -> Float {
    guard dropout >= 0, dropout < 1 else {
      throw ModelError(.invalidInput, "step: dropout \(dropout) is not in 0..<1")
    }
    // Without labels the loss is 0 and has no gradient; the batch is checked all the same.
    let hasLabels = batch.labels.contains { $0 != Graph.ignoredLabel }
    return try run(batch, scale, dropout: hasLabels ? dropout : nil)[0]
  }

  /// Runs the model without dropout: the loss as `step` returns it, and the logits
  /// `[rows, labels or vocabulary]`, f32, valid until the next run.
  ///
  /// Throws as `step` does.
  package func evaluate(
    _ batch: PackedBatch,
    scale: Float = 1
  ) throws(ModelError) -> (loss: Float, logits: UnsafeBufferPointer<Float>) {
    let loss = try run(batch, scale, dropout: nil)[0]
    return (loss, executor.output(1))
  }

  /// The logits `[rows, labels or vocabulary]`, f32, valid until the next run.
  ///
  /// Throws as `step` does.
  package func logits(_ batch: PackedBatch) throws(ModelError) -> UnsafeBufferPointer<Float> {
    try evaluate(batch).logits
  }

  private func run(
    _ batch: PackedBatch,
    _ scale: Float,
    dropout: Float?
  ) throws(ModelError) -> UnsafeBufferPointer<Float> {
    let wasRunning = isRunning.exchange(true, ordering: .acquiring)
    precondition(!wasRunning, "a model in training has one caller at a time")
    defer { isRunning.store(false, ordering: .releasing) }
    let longest = try check(batch)
    let program = try program(rows: batch.rows, sequenceTokens: longest, dropout: dropout)
    do throws(TensorError) {
      try executor.load(program)
      try set(.tokens, batch.ids)
      try set(.positions, batch.positions)
      try set(.starts, batch.starts)
      try set(.ends, batch.ends)
      let selected = batch.labels.indices.filter {
        dropout != nil && batch.labels[$0] != Graph.ignoredLabel
      }
      try set(.labels, dropout == nil ? batch.labels : selected.map { batch.labels[$0] })
      try set(.selected, selected.map { UInt32($0) })
      try withUnsafePointer(to: batch.seed.littleEndian) { pointer throws(TensorError) in
        try pointer.withMemoryRebound(to: UInt32.self, capacity: 2) { words throws(TensorError) in
          try executor.setInput(
            ModelGraph.Input.seed.rawValue,
            UnsafeBufferPointer(start: words, count: 2)
          )
        }
      }
      try withUnsafePointer(to: scale) { pointer throws(TensorError) in
        try executor.setInput(
          ModelGraph.Input.scale.rawValue,
          UnsafeBufferPointer(start: pointer, count: 1)
        )
      }
      try executor.run(liveRows: batch.rows, selectedRows: selected.count)
    } catch {
      let isInput = error.code == .invalidArgument || error.code == .indexOutOfRange
      guard isInput else { throw ModelError(error, "step") }
      throw ModelError(.invalidInput, "step: \(error.message)", cause: error)
    }
    return executor.output(0)
  }

  private func set(_ input: ModelGraph.Input, _ values: [UInt32]) throws(TensorError) {
    try values.withUnsafeBufferPointer { buffer throws(TensorError) in
      try executor.setInput(input.rawValue, buffer)
    }
  }

  /// Checks what the graph does not, and returns the length of the longest sequence.
  private func check(_ batch: PackedBatch) throws(ModelError) -> Int {
    let rows = batch.rows
    let counts = [
      batch.positions.count, batch.starts.count, batch.ends.count, batch.labels.count,
    ]
    guard rows >= 1, counts.allSatisfy({ $0 == rows }) else {
      throw ModelError(
        .invalidInput,
        "step: \(rows) tokens with \(counts) positions, starts, ends and labels"
      )
    }
    var longest = 1
    for row in 0..<rows {
      let (start, end) = (Int(batch.starts[row]), Int(batch.ends[row]))
      let (position, context) = (Int(batch.positions[row]), configuration.contextTokens)
      guard position < context, end - start <= context else {
        throw ModelError(
          .invalidInput,
          "step: row \(row) has position \(position) in the sequence \(start)..<\(end), the "
            + "context is \(context) tokens"
        )
      }
      longest = max(longest, end - start)
    }
    return longest
  }

  /// Measures a step: milliseconds of each kind of operation, the longest first.
  ///
  /// Throws as `step` does; adds to the gradients as it does.
  package func profile(
    _ batch: PackedBatch,
    dropout: Float
  ) throws(ModelError) -> [(operation: String, milliseconds: Double)] {
    executor.operationTimes = [:]
    defer { executor.operationTimes = nil }
    _ = try step(batch, scale: 1, dropout: dropout)
    return (executor.operationTimes ?? [:]).map { ($0.key, Double($0.value) / 1e6) }
      .sorted { ($1.1, $0.0) < ($0.1, $1.0) }
  }

  // MARK: Programs

  /// The smallest of 1, 1.25, 1.5 and 1.75 times a power of two, at least 64, that holds `count`.
  private static func sizeClass(_ count: Int) -> Int {
    let least = 64
    guard count > least else { return least }
    let quarter = 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount - 3)
    return (count + quarter - 1) / quarter * quarter
  }

  private func program(
    rows: Int,
    sequenceTokens: Int,
    dropout: Float?
  ) throws(ModelError) -> Program {
    guard rows >= 1, rows <= limits.batchTokensMax else {
      throw ModelError(
        .memoryLimit,
        "step: \(rows) tokens, the limit is \(limits.batchTokensMax)"
      )
    }
    let size = TrainableModel.sizeClass(rows)
    let key = ProgramClass(
      rows: size,
      sequenceTokens: min(size, TrainableModel.sizeClass(sequenceTokens)),
      dropout: dropout
    )
    return try programs.withLock { programs throws(ModelError) in
      if let program = programs[key] { return program }
      // Another dropout is another run of training: its programs are not needed again.
      if programs.count >= TrainableModel.programsMax { programs.removeAll() }
      let program = try compile(key)
      programs[key] = program
      return program
    }
  }

  /// The most programs that are kept; a run of training has one for each class of row and
  /// sequence counts.
  private static let programsMax = 256

  private func compile(_ key: ProgramClass) throws(ModelError) -> Program {
    do throws(TensorError) {
      var model = try ModelGraph(
        rows: key.rows,
        sequenceTokensMax: key.sequenceTokens,
        dropout: key.dropout ?? 0,
        selectsRows: key.dropout != nil
      )
      let logits = try architecture.logits(&model)
      let loss = try model.loss(logits: logits)
      model.graph.output(loss)
      if key.dropout == nil {
        model.graph.output(logits)
      } else {
        try differentiate(&model.graph, loss)
      }
      let program = try Program(model.graph, threadCount: threads.threadCount)
      guard program.peakBytes <= limits.arenaBytesMax else {
        throw TensorError(
          .memoryLimit,
          "the plan needs \(program.peakBytes) bytes, the limit is \(limits.arenaBytesMax)"
        )
      }
      return program
    } catch {
      throw ModelError(error, "graph for \(key.rows) tokens")
    }
  }

  private func differentiate(_ graph: inout Graph, _ loss: Value) throws(TensorError) {
    var gradients: [ObjectIdentifier: Tensor] = [:]
    for parameter in parameters {
      gradients[ObjectIdentifier(parameter.tensor.storage)] = parameter.gradient
    }
    var wanted: [Int: Tensor] = [:]
    for (index, constant) in graph.constants.enumerated() {
      wanted[index] = gradients[ObjectIdentifier(constant.storage)]
    }
    _ = try graph.differentiate(loss, parameters: wanted)
  }
}

extension ConfigurationDocument {
  /// Changes the model's head; true when the stored one does not fit.
  fileprivate mutating func apply(_ head: ModelHead) throws(CheckpointError) -> Bool {
    let (suffix, labels): (String, [String])
    switch head {
    case .asStored: return false
    case .tokenClassification(let names): (suffix, labels) = ("ForTokenClassification", names)
    case .sequenceClassification(let names): (suffix, labels) = ("ForSequenceClassification", names)
    }
    if architecture.hasSuffix(suffix), try configuration().labels == labels { return false }
    setHead(suffix: suffix, labels: labels)
    return true
  }
}
