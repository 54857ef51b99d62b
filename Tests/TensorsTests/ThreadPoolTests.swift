import Synchronization
import Tensors
import Testing

@Suite("The thread pool")
struct ThreadPoolTests {
  /// What the tasks of a test record.
  private final class Record: Sendable {
    let done = Atomic<Int>(0)
    let sum = Atomic<Int>(0)
    let clashes = Atomic<Int>(0)
    let busy = Mutex<Set<Int>>([])
  }

  @Test("Every task runs once, whatever the numbers", arguments: [1, 2, 4, 16])
  func eachTaskOnce(threadCount: Int) {
    let pool = ThreadPool(threadCount: threadCount)
    for tasks in [0, 1, 2, 3, 7, 64, 1_000] {
      let record = Record()
      pool.run(tasks: tasks) { task, thread in
        record.done.add(1, ordering: .relaxed)
        record.sum.add(task, ordering: .relaxed)
        if thread < 0 || thread >= threadCount { record.clashes.add(1, ordering: .relaxed) }
      }
      #expect(record.done.load(ordering: .relaxed) == tasks)
      #expect(record.sum.load(ordering: .relaxed) == tasks * (tasks - 1) / 2)
      #expect(record.clashes.load(ordering: .relaxed) == 0)
    }
  }

  @Test("A thread number is held by one task at a time")
  func threadNumbers() {
    let pool = ThreadPool(threadCount: 4)
    let record = Record()
    pool.run(tasks: 5_000) { _, thread in
      if !record.busy.withLock({ $0.insert(thread).inserted }) {
        record.clashes.add(1, ordering: .relaxed)
      }
      _ = record.busy.withLock { $0.remove(thread) }
    }
    #expect(record.clashes.load(ordering: .relaxed) == 0)
  }

  @Test("Many short operations on more threads than processors end")
  func oversubscribed() {
    let pool = ThreadPool(threadCount: 8)
    let record = Record()
    for _ in 0..<20_000 {
      pool.run(tasks: 3) { _, _ in record.done.add(1, ordering: .relaxed) }
    }
    #expect(record.done.load(ordering: .relaxed) == 60_000)
  }

  @Test("A task may run tasks, and they run on its own thread")
  func nested() {
    let pool = ThreadPool(threadCount: 2)
    let record = Record()
    pool.run(tasks: 4) { _, _ in
      pool.run(tasks: 5) { _, _ in record.done.add(1, ordering: .relaxed) }
    }
    #expect(record.done.load(ordering: .relaxed) == 20)
  }

  @Test("Several callers at once get all their tasks done")
  func concurrentCallers() async {
    let pool = ThreadPool(threadCount: 2)
    let record = Record()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          for _ in 0..<500 {
            pool.run(tasks: 4) { _, _ in record.done.add(1, ordering: .relaxed) }
          }
        }
      }
    }
    #expect(record.done.load(ordering: .relaxed) == 8 * 500 * 4)
  }

  @Test("Pools start and stop, used and unused")
  func lifecycle() {
    for index in 0..<50 {
      let pool = ThreadPool(threadCount: 1 + index % 4)
      if index % 2 == 0 { pool.run(tasks: 8) { _, _ in } }
    }
  }
}
