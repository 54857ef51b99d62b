import Dispatch
import NIOCore

@testable import RPC

/// Time, chance and the order of things in a simulation: all of it follows from a seed.
///
/// Loops run their jobs one at a time on the one thread that calls `step`; which loop is next, how
/// late a timer fires and whether time passes between two jobs is drawn. Nothing reads a clock of the
/// system.
///
/// `@unchecked Sendable`: a world and all that belongs to it is used by the thread that runs it.
final class SimulatedWorld: @unchecked Sendable {
  private struct Timer {
    let due: NIODeadline
    let order: UInt64
    let loop: SimulatedLoop
    /// Whether it belongs to what is simulated; else the world itself asked for it.
    let isForeign: Bool
    let body: () -> Void
  }

  private(set) var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
  private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
  private(set) var steps = 0
  /// What was traced, to find where two runs part; nil: it is not kept.
  var journal: [String]?
  private(set) var current: SimulatedLoop?
  private var generator: SeededGenerator
  private var loops: [SimulatedLoop] = []
  /// The next one last.
  private var timers: [Timer] = []
  private var timerOrder: UInt64 = 0
  /// The most that a timer is late, in nanoseconds.
  var latenessMax: Int64 = 3_000_000

  init(seed: UInt64) {
    generator = SeededGenerator(seed: seed)
  }

  // MARK: Chance

  func number<N: FixedWidthInteger>(in range: ClosedRange<N>) -> N {
    N.random(in: range, using: &generator)
  }

  func chance(_ probability: Double) -> Bool {
    Double.random(in: 0..<1, using: &generator) < probability
  }

  func pick<C: Collection>(_ choices: C) -> C.Element {
    choices[choices.index(choices.startIndex, offsetBy: number(in: 0...(choices.count - 1)))]
  }

  /// Numbers for code that draws some itself.
  var random: RandomSource { RandomSource { self.generator.next() } }

  // MARK: The trace

  /// Adds what happened to the digest (FNV-1a), with the time.
  func trace(_ text: StaticString, _ values: Int...) {
    journal?.append("\(now.uptimeNanoseconds) \(text) \(values)")
    text.withUTF8Buffer { mix($0) }
    mix(UInt64(bitPattern: Int64(now.uptimeNanoseconds)))
    for value in values { mix(UInt64(bitPattern: Int64(value))) }
  }

  func trace(bytes: [UInt8]) {
    journal?.append("\(bytes)")
    bytes.withUnsafeBufferPointer { mix($0) }
  }

  private func mix(_ bytes: UnsafeBufferPointer<UInt8>) {
    for byte in bytes { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01b3 }
  }

  private func mix(_ value: UInt64) {
    digest = (digest ^ value) &* 0x100_0000_01b3
    digest ^= digest >> 29
  }

  // MARK: Jobs

  func makeLoop(_ name: StaticString) -> SimulatedLoop {
    let loop = SimulatedLoop(self, name, index: loops.count)
    loops.append(loop)
    return loop
  }

  func schedule(
    at due: NIODeadline,
    on loop: SimulatedLoop,
    isForeign: Bool,
    _ body: @escaping () -> Void
  ) -> UInt64 {
    timerOrder += 1
    let late = isForeign && latenessMax > 0 && chance(0.5) ? number(in: 0...latenessMax) : 0
    let timer = Timer(
      due: max(due, now) + .nanoseconds(late),
      order: timerOrder,
      loop: loop,
      isForeign: isForeign,
      body: body
    )
    var low = 0
    var high = timers.count
    while low < high {
      let middle = (low + high) / 2
      if timers[middle].due <= timer.due { high = middle } else { low = middle + 1 }
    }
    timers.insert(timer, at: low)
    return timerOrder
  }

  func cancel(_ order: UInt64) {
    if let index = timers.firstIndex(where: { $0.order == order }) { timers.remove(at: index) }
  }

  /// Timers that what is simulated has set and not cancelled.
  var foreignTimers: Int { timers.count { $0.isForeign } }

  /// Whether nothing happens any more but by timers.
  var isIdle: Bool { loops.allSatisfy(\.jobs.isEmpty) }

  /// Runs one job, or lets time pass to the next timer; false when there is neither.
  func step() -> Bool {
    steps += 1
    let ready = loops.filter { !$0.jobs.isEmpty }
    if ready.isEmpty {
      guard let next = timers.last else { return false }
      pass(to: next.due)
      return true
    }
    if chance(0.02) { pass(to: now + .nanoseconds(number(in: 0...1_000_000))) }
    let loop = pick(ready)
    guard let job = loop.jobs.popFirst() else { return true }
    trace("job", loop.index)
    current = loop
    job()
    current = nil
    return true
  }

  private func pass(to time: NIODeadline) {
    now = max(now, time)
    while let timer = timers.last, timer.due <= now {
      timers.removeLast()
      timer.loop.jobs.append(timer.body)
    }
  }

  /// Suspends the task, which runs on `loop`, until the time is over or it is cancelled.
  func sleep(_ time: TimeAmount, on loop: SimulatedLoop) async {
    let wait = SimulatedWait()
    await withTaskCancellationHandler {
      await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
        guard !Task.isCancelled else { return continuation.resume() }
        wait.continuation = continuation
        wait.timer = schedule(at: now + time, on: loop, isForeign: false) { wait.resume() }
      }
    } onCancel: {
      if let timer = wait.timer { self.cancel(timer) }
      wait.resume()
    }
  }
}

/// A task that sleeps.
///
/// `@unchecked Sendable`: as its world.
private final class SimulatedWait: @unchecked Sendable {
  var continuation: UnsafeContinuation<Void, Never>?
  var timer: UInt64?

  func resume() {
    timer = nil
    continuation?.resume()
    continuation = nil
  }
}

/// An event loop of a world; the loops of one world stand for threads that run at once.
///
/// `@unchecked Sendable`: as its world.
final class SimulatedLoop: EventLoop, @unchecked Sendable {
  unowned let world: SimulatedWorld
  let index: Int
  private let name: StaticString
  fileprivate(set) var jobs = CircularBuffer<() -> Void>()

  fileprivate init(_ world: SimulatedWorld, _ name: StaticString, index: Int) {
    self.world = world
    self.name = name
    self.index = index
  }

  var inEventLoop: Bool { world.current === self }
  var now: NIODeadline { world.now }

  func execute(_ task: @escaping @Sendable () -> Void) { jobs.append(task) }

  func submit<T>(_ task: @escaping @Sendable () throws -> T) -> EventLoopFuture<T> {
    let promise = makePromise(of: T.self)
    jobs.append { Self.complete(promise, task) }
    return promise.futureResult
  }

  func scheduleTask<T>(
    deadline: NIODeadline,
    _ task: @escaping @Sendable () throws -> T
  ) -> Scheduled<T> {
    let promise = makePromise(of: T.self)
    let state = SimulatedTimer()
    state.order = world.schedule(at: deadline, on: self, isForeign: true) {
      guard !state.isCancelled else { return }
      Self.complete(promise, task)
    }
    let world = world
    return Scheduled(promise: promise) {
      state.isCancelled = true
      world.cancel(state.order)
    }
  }

  func scheduleTask<T>(
    in time: TimeAmount,
    _ task: @escaping @Sendable () throws -> T
  ) -> Scheduled<T> {
    scheduleTask(deadline: now + time, task)
  }

  private static func complete<T>(_ promise: EventLoopPromise<T>, _ task: () throws -> T) {
    do {
      promise.assumeIsolated().succeed(try task())
    } catch {
      promise.fail(error)
    }
  }

  func preconditionInEventLoop(file: StaticString, line: UInt) {
    precondition(inEventLoop, "not on the loop \(name)", file: file, line: line)
  }

  func preconditionNotInEventLoop(file: StaticString, line: UInt) {
    precondition(!inEventLoop, "on the loop \(name)", file: file, line: line)
  }

  func shutdownGracefully(
    queue: DispatchQueue,
    _ callback: @escaping @Sendable ((any Error)?) -> Void
  ) {
    preconditionFailure("a simulated loop ends with its world")
  }
}

/// A timer of a simulated loop.
///
/// `@unchecked Sendable`: as its world.
private final class SimulatedTimer: @unchecked Sendable {
  var order: UInt64 = 0
  var isCancelled = false
}
