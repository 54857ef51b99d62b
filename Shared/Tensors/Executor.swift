internal import COpenBLAS
import Glibc
import Synchronization

/// Runs programs on a thread pool, one at a time, in one arena.
///
/// After the first run of the largest program it allocates nothing. All results depend on the
/// program and its data, not on the number of threads: how an operation is cut into tasks depends
/// on its shape alone.
///
/// `@unchecked Sendable`: an executor has one user at a time (checked by `isRunning`); the pool's
/// threads see `frames` only between the publication of a task and its end.
package final class Executor: @unchecked Sendable {
  /// The pool that runs the tasks.
  package let threads: ThreadPool
  /// The most bytes the arena may take.
  package let arenaBytesMax: Int

  /// Nanoseconds that each kind of operation has taken since this was set to an empty dictionary.
  ///
  /// Nil, the default, measures nothing; else steps run one by one.
  package var operationTimes: [String: UInt64]?

  private var arena: Storage?
  private var program: Program?
  private let isRunning = Atomic<Bool>(false)
  /// The rows of the last run.
  private var live = LiveCounts(all: 0, selected: 0)
  /// The steps that run side by side.
  private var frames: [Frame] = []
  private var body: @Sendable (Int, Int) -> Void = { _, _ in }

  /// OpenBLAS must not start threads of its own inside our tasks.
  private static let setUpBLAS: Void = openblas_set_num_threads(1)

  /// Makes an executor whose arena may grow to `arenaBytesMax`.
  package init(threads: ThreadPool, arenaBytesMax: Int) {
    self.threads = threads
    self.arenaBytesMax = arenaBytesMax
    Executor.setUpBLAS
    // One closure for all operations, so that a run allocates none.
    body = { [unowned self] task, thread in self.run(task: task, thread: thread) }
    frames.reserveCapacity(Graph.stageNodesMax)
  }

  /// Makes `program` the one that `setInput`, `run` and `output` mean, and provides its memory.
  ///
  /// Throws `memoryLimit` when its peak is above the limit.
  package func load(_ program: Program) throws(TensorError) {
    guard program.peakBytes <= arenaBytesMax else {
      throw TensorError(
        .memoryLimit,
        "executor: the plan needs \(program.peakBytes) bytes, the limit is \(arenaBytesMax)"
      )
    }
    precondition(program.threadCount >= threads.threadCount, "planned for fewer threads")
    if arena == nil || arena?.byteCount ?? 0 < program.peakBytes {
      arena = nil  // Freed first, so that the peak is never exceeded.
      arena = try Storage(byteCount: program.peakBytes)
    }
    self.program = program
  }

  /// Copies token ids or positions into an input of the loaded program.
  ///
  /// There may be fewer than planned when the input has live rows; throws `shapeMismatch`
  /// otherwise.
  package func setInput(
    _ index: Int,
    _ values: UnsafeBufferPointer<UInt32>
  ) throws(TensorError) {
    guard let program, let arena else { preconditionFailure("no program is loaded") }
    precondition(index < program.inputs.count)
    guard let (offset, node) = program.inputs[index] else { return }
    let planned = node.shape.elementCount
    guard node.dtype == .uint32, let base = values.baseAddress,
      node.live != nil ? values.count <= planned : values.count == planned
    else {
      throw TensorError(
        .shapeMismatch,
        "input \(index): \(values.count) u32 values for \(node.dtype.rawValue) \(node.shape)"
      )
    }
    (arena.base + offset).copyMemory(
      from: base,
      byteCount: values.count * DType.uint32.byteCount
    )
  }

  /// Copies f32 values into an input of the loaded program, with the same rule.
  package func setInput(
    _ index: Int,
    _ values: UnsafeBufferPointer<Float>
  ) throws(TensorError) {
    guard let program, let arena else { preconditionFailure("no program is loaded") }
    precondition(index < program.inputs.count)
    guard let (offset, node) = program.inputs[index] else { return }
    let planned = node.shape.elementCount
    guard node.dtype == .float32, let base = values.baseAddress,
      node.live != nil ? values.count <= planned : values.count == planned
    else {
      throw TensorError(
        .shapeMismatch,
        "input \(index): \(values.count) f32 values for \(node.dtype.rawValue) \(node.shape)"
      )
    }
    (arena.base + offset).copyMemory(
      from: base,
      byteCount: values.count * DType.float32.byteCount
    )
  }

  /// Runs the loaded program on its first `liveRows` rows, of which it selects `selectedRows`.
  ///
  /// With `cache`, attention appends at the cache's length; the caller advances it afterwards.
  ///
  /// The data of the inputs is checked first: an error leaves the destinations as they were.
  ///
  /// Throws `shapeMismatch` for no live or selected rows, or more than planned, `indexOutOfRange` for a token id outside
  /// its table or a label that is no class, `invalidArgument` for sequences that do not tile the
  /// rows, `capacityExceeded` when the cache has no room for the rows.
  package func run(
    liveRows: Int,
    selectedRows: Int = 0,
    cache: KeyValueCache? = nil
  ) throws(TensorError) {
    guard let program, let arena else { preconditionFailure("no program is loaded") }
    let wasRunning = isRunning.exchange(true, ordering: .acquiring)
    precondition(!wasRunning, "an executor has one user at a time")
    defer { isRunning.store(false, ordering: .releasing) }
    if let cache, liveRows > cache.capacityTokens - cache.length {
      throw TensorError(
        .capacityExceeded,
        "cachedAttention: \(cache.length) + \(liveRows) positions, capacity "
          + "\(cache.capacityTokens)"
      )
    }
    let live = LiveCounts(all: liveRows, selected: selectedRows)
    self.live = live
    defer { frames.removeAll(keepingCapacity: true) }
    for step in program.steps {
      try step.check(live)
      if step.operation.readsIntegers {
        try Frame(step, arena: arena.base, live: live, cache: cache).check()
      }
    }
    for stage in program.stages {
      if operationTimes == nil {
        try run(program.steps[stage], arena: arena.base, live: live, cache)
        continue
      }
      for index in stage {
        let start = Executor.now()
        try run(program.steps[index...index], arena: arena.base, live: live, cache)
        let name = program.steps[index].operation.name
        operationTimes?[name, default: 0] += Executor.now() - start
      }
    }
  }

  /// Runs steps that need nothing of each other.
  private func run(
    _ steps: ArraySlice<Step>,
    arena: UnsafeMutableRawPointer,
    live: LiveCounts,
    _ cache: KeyValueCache?
  ) throws(TensorError) {
    frames.removeAll(keepingCapacity: true)
    var tasks = 0
    var isSmall = true
    for step in steps {
      let frame = Frame(step, arena: arena, live: live, cache: cache)
      try frame.begin()
      frames.append(frame)
      tasks += frame.tasks
      isSmall = isSmall && frame.isSmall
    }
    if isSmall || tasks == 1 {
      for task in 0..<tasks { run(task: task, thread: 0) }
    } else {
      threads.run(tasks: tasks, body)
    }
    for index in frames.indices { frames[index].finish() }
  }

  /// Runs one of the tasks of all frames.
  private func run(task: Int, thread: Int) {
    var task = task
    for index in frames.indices {
      let tasks = frames[index].tasks
      if task < tasks { return frames[index].run(task: task, thread: thread) }
      task -= tasks
    }
  }

  private static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// An output of the program that ran last, f32: `[rows of the run, columns]`.
  ///
  /// Valid until the next `load`, `setInput` or `run`.
  package func output(_ index: Int) -> UnsafeBufferPointer<Float> {
    guard let program, let arena else { preconditionFailure("no program is loaded") }
    let value = program.graph.outputs[index]
    let node = program.graph[value]
    guard let buffer = program.plan.outputs[value.index] else {
      preconditionFailure("a constant is not an output")
    }
    let rowElements = node.shape.elementCount / node.shape[0]
    return UnsafeBufferPointer(
      start: (arena.base + buffer.offset).assumingMemoryBound(to: Float.self),
      count: (node.live.map { live[$0] } ?? node.shape[0]) * rowElements
    )
  }
}
