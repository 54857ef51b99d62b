internal import CKernels
import Glibc
import Synchronization

/// A fixed set of threads that run the tasks of one stage of operations at a time.
///
/// The calling thread works too, so a pool of one has no threads of its own. Threads claim tasks
/// one by one, so that a thread that the system has set aside delays only the task that it holds.
/// Between stages a thread spins for some microseconds, because the next one usually follows
/// at once, and then sleeps until it is woken.
///
/// `run` may be called from any thread. The pool serves one caller at a time: while it is taken, or
/// from inside a task, `run` does all tasks on the calling thread and never waits for the other.
package final class ThreadPool: Sendable {
  /// The most threads a pool may have.
  package static let threadCountMax = 256
  /// The most tasks of one `run`.
  package static let tasksMax = Int(UInt32.max)

  /// Threads that work on an operation, the caller included.
  package let threadCount: Int

  private let state: PoolState
  private let threads: [pthread_t]

  /// Starts a pool of `threadCount` threads, by default as many as the process may use.
  ///
  /// Each of its own threads is pinned to a processor when there are enough of them and `isPinned`
  /// is true.
  package init(threadCount: Int = Processors.available(), isPinned: Bool = true) {
    let count = min(max(threadCount, 1), ThreadPool.threadCountMax)
    let processors = Processors.allowed()
    let state = PoolState()
    var threads: [pthread_t] = []
    for index in 1..<max(count, 1) where index < count {
      // The first processor is left to the caller.
      let processor = isPinned && count <= processors.count ? processors[index] : nil
      if let thread = WorkerStart.start(state: state, index: index, processor: processor) {
        threads.append(thread)
      }
    }
    self.state = state
    self.threads = threads
    self.threadCount = count
  }

  deinit {
    state.stop()
    for thread in threads { pthread_join(thread, nil) }
  }

  /// Runs `body` for each task in `0..<tasks` and returns when all are done.
  ///
  /// `thread` is in `0..<threadCount` and is held by one task at a time, so it may index scratch
  /// memory.
  ///
  /// The closure escapes because a thread may let go of it a moment after its last task. A caller
  /// that must not allocate makes one closure and passes it each time.
  package func run(
    tasks: Int,
    _ body: @escaping @Sendable (_ task: Int, _ thread: Int) -> Void
  ) {
    precondition(tasks >= 0 && tasks <= ThreadPool.tasksMax)
    if tasks <= 1 || threads.isEmpty || !state.acquire() {
      for task in 0..<tasks { body(task, 0) }
      return
    }
    state.run(tasks: tasks, body)
    state.release()
  }
}

/// What the threads of a pool share.
///
/// `@unchecked Sendable`: `job` and `jobTasks` are written only by the holder of `isTaken`, before
/// the store to `ticket` that publishes them, and read only after a claim succeeded on `ticket`;
/// the holder waits for all claimed tasks before it writes them again.
private final class PoolState: @unchecked Sendable {
  typealias Job = @Sendable (Int, Int) -> Void

  /// Upper half: number of the operation; lower half: its tasks not yet claimed.
  let ticket = Atomic<UInt64>(0)
  /// Tasks of the operation not yet finished.
  let unfinished = Atomic<Int>(0)
  let isTaken = Atomic<Bool>(false)
  let isStopping = Atomic<Bool>(false)
  /// Threads asleep or about to be; a caller that reads 0 need not wake anyone.
  let sleepers = Atomic<Int>(0)
  let isCallerAsleep = Atomic<Bool>(false)
  private var job: Job?
  private var jobTasks = 0
  private let condition = Monitor(())
  private let callerCondition = Monitor(())

  /// About 30 microseconds: longer than the steps between two operations of a decode.
  static let spinsMax = 1_000

  func acquire() -> Bool { !isTaken.exchange(true, ordering: .acquiring) }
  func release() { isTaken.store(false, ordering: .releasing) }

  func run(tasks: Int, _ body: @escaping Job) {
    job = body
    jobTasks = tasks
    unfinished.store(tasks, ordering: .relaxed)
    let number = (ticket.load(ordering: .relaxed) >> 32) &+ 1
    // Sequentially consistent with `sleepers`: either the sleeper sees the ticket or we see it.
    ticket.store(number << 32 | UInt64(tasks), ordering: .sequentiallyConsistent)
    if sleepers.load(ordering: .sequentiallyConsistent) > 0 { condition.wakeAll() }
    while claimAndRun(thread: 0) {}
    awaitUnfinished()
    job = nil
  }

  /// Runs one task if one is left.
  func claimAndRun(thread: Int) -> Bool {
    var current = ticket.load(ordering: .acquiring)
    while current & 0xffff_ffff > 0 {
      let result = ticket.weakCompareExchange(
        expected: current,
        desired: current - 1,
        ordering: .acquiringAndReleasing
      )
      if result.exchanged {
        // The claim holds the operation open: its job stays until the task is counted as done.
        job?(jobTasks - Int(current & 0xffff_ffff), thread)
        finishTask()
        return true
      }
      current = result.original
    }
    return false
  }

  private func finishTask() {
    let left = unfinished.subtract(1, ordering: .sequentiallyConsistent).newValue
    if left == 0, isCallerAsleep.load(ordering: .sequentiallyConsistent) {
      callerCondition.wakeAll()
    }
  }

  private func awaitUnfinished() {
    for _ in 0..<PoolState.spinsMax {
      if unfinished.load(ordering: .acquiring) == 0 { return }
      ck_pause()
    }
    isCallerAsleep.store(true, ordering: .sequentiallyConsistent)
    callerCondition.sleep { unfinished.load(ordering: .sequentiallyConsistent) == 0 }
    isCallerAsleep.store(false, ordering: .relaxed)
  }

  func work(thread: Int) {
    while !isStopping.load(ordering: .acquiring) {
      if claimAndRun(thread: thread) { continue }
      var spins = 0
      while spins < PoolState.spinsMax, !hasWork() {
        ck_pause()
        spins += 1
      }
      if spins == PoolState.spinsMax { sleep() }
    }
  }

  private func hasWork() -> Bool {
    ticket.load(ordering: .relaxed) & 0xffff_ffff > 0 || isStopping.load(ordering: .relaxed)
  }

  private func sleep() {
    sleepers.add(1, ordering: .sequentiallyConsistent)
    condition.sleep {
      ticket.load(ordering: .sequentiallyConsistent) & 0xffff_ffff > 0
        || isStopping.load(ordering: .sequentiallyConsistent)
    }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
  }

  func stop() {
    isStopping.store(true, ordering: .sequentiallyConsistent)
    condition.wakeAll()
  }
}

extension Monitor<Void> {
  /// Sleeps until `isMet`; the one who meets it must then call `wakeAll`.
  fileprivate func sleep(until isMet: () -> Bool) { wait { _ in isMet() ? () : nil } }

  fileprivate func wakeAll() { notify { _ in } }
}

/// What a new thread is given.
private final class WorkerStart {
  let state: PoolState
  let index: Int
  let processor: Int?

  private init(state: PoolState, index: Int, processor: Int?) {
    self.state = state
    self.index = index
    self.processor = processor
  }

  /// Starts a thread; nil when the system has none to give: the pool then works with fewer.
  static func start(state: PoolState, index: Int, processor: Int?) -> pthread_t? {
    let context = Unmanaged.passRetained(
      WorkerStart(state: state, index: index, processor: processor)
    )
    var thread = pthread_t()
    let result = pthread_create(
      &thread,
      nil,
      { pointer in
        guard let pointer else { return nil }
        let start = Unmanaged<WorkerStart>.fromOpaque(pointer).takeRetainedValue()
        if let processor = start.processor { Processors.pinCurrentThread(to: processor) }
        start.state.work(thread: start.index)
        return nil
      },
      context.toOpaque()
    )
    guard result == 0 else {
      context.release()
      return nil
    }
    return thread
  }
}
