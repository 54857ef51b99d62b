import ServiceAPI

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Shows the events of a job: on a terminal a bar that is drawn over and over, elsewhere plain lines.
struct TrainingProgress {
  /// Lines that a file or a pipe gets for the steps of a whole job.
  static let plainLines: UInt64 = 20
  private static let barWidth = 24
  /// Steps over which the rate is measured.
  private static let windowSteps = 200

  private let isTerminal: Bool
  private let write: (String) -> Void
  private var steps: UInt64 = 0
  /// When the last steps of the present attempt were done, the oldest first.
  private var recent: [(step: UInt64, timeMs: Int64)] = []
  private var attempt: UInt32 = 0
  private var lastPlainTwentieth: UInt64 = 0
  private var bar = ""

  /// Progress on standard output.
  init(isTerminal: Bool = isatty(1) == 1, write: @escaping (String) -> Void = Output.fragment) {
    self.isTerminal = isTerminal
    self.write = write
  }

  /// Shows one event.
  mutating func show(_ event: TrainingV1.JobEvent) {
    if event.attempt != attempt {
      attempt = event.attempt
      recent = []
    }
    switch event.event {
    case .state(let changed): showState(changed)
    case .prepared(let work):
      steps = work.steps
      line(
        "training on \(Figures.grouped(work.rows)) rows, \(Figures.grouped(work.tokens)) tokens: "
          + "\(Figures.grouped(work.steps)) steps, about \(work.memoryBytes >> 20) MiB"
      )
    case .step(let step): showStep(step, at: event.timeMs)
    case .evaluation(let evaluation):
      line(
        "epoch \(Figures.fixed(evaluation.epoch, 2))  \(evaluation.split): "
          + Figures.metrics(evaluation.metrics)
      )
    case .log(let log): line(log.level == "info" ? log.message : "\(log.level): \(log.message)")
    case .attemptEnded(let ended) where ended.outcome == .failed:
      line("attempt \(event.attempt) failed: \(ended.message)")
    case .checkpoint, .attemptEnded, nil: break
    }
  }

  /// Leaves the bar as it is and goes to the next line.
  mutating func end() {
    if isTerminal, !bar.isEmpty { write("\n") }
    bar = ""
  }

  private mutating func showState(_ changed: TrainingV1.StateChanged) {
    switch changed.state {
    case .queued where !changed.message.isEmpty: line("waits for another attempt")
    case .queued: line("queued")
    case .running: line(attempt > 1 ? "running, attempt \(attempt)" : "running")
    default: break
    }
  }

  private mutating func showStep(_ step: TrainingV1.Step, at time: Int64) {
    recent.append((step.step, time))
    if recent.count > Self.windowSteps { recent.removeFirst(recent.count - Self.windowSteps) }
    let text = describe(step)
    if isTerminal {
      bar = text
      write("\r\u{1B}[K" + text)
    } else if steps > 0 {
      let twentieth = step.step * Self.plainLines / steps
      guard step.step == 1 || twentieth != lastPlainTwentieth else { return }
      lastPlainTwentieth = twentieth
      write(text + "\n")
    }
  }

  private func describe(_ step: TrainingV1.Step) -> String {
    let share = steps > 0 ? min(1, Double(step.step) / Double(steps)) : 0
    let filled = Int(share * Double(Self.barWidth))
    let bar =
      String(repeating: "=", count: filled) + (filled < Self.barWidth ? ">" : "")
      + String(repeating: " ", count: max(0, Self.barWidth - filled - 1))
    var text = isTerminal ? "[\(bar)] " : ""
    text += "\(Figures.fixed(share * 100, 0))%  step \(step.step)/\(steps)"
    text += "  loss \(Figures.fixed(step.loss, 4))  rate \(rate(step.learningRate))"
    text += "  \(Figures.grouped(UInt64(clamping: Int64(step.tokensPerSecond)))) tokens/s"
    if let seconds = remainingSeconds { text += "  ETA \(Figures.duration(seconds: seconds))" }
    return text
  }

  /// A learning rate: "4.5e-05".
  private func rate(_ value: Double) -> String {
    guard value > 0, value.isFinite else { return "0" }
    var (mantissa, exponent) = (value, 0)
    while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    let digits = exponent < 0 ? -exponent : exponent
    return
      "\(Figures.fixed(mantissa, 2))e\(exponent < 0 ? "-" : "+")\(digits < 10 ? "0" : "")\(digits)"
  }

  private var remainingSeconds: Double? {
    guard let first = recent.first, let last = recent.last, last.step > first.step,
      steps >= last.step
    else { return nil }
    let perStep = Double(last.timeMs - first.timeMs) / Double(last.step - first.step) / 1_000
    return perStep * Double(steps - last.step)
  }

  /// A line of its own, above the bar.
  private func line(_ text: String) {
    guard isTerminal, !bar.isEmpty else {
      write(text + "\n")
      return
    }
    write("\r\u{1B}[K" + text + "\n" + bar)
  }
}
