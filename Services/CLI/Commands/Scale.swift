import ArgumentParser
import Supervision

/// `llmos scale`: more or fewer replicas of a service.
struct Scale: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Changes how many replicas of a service run, and waits until it is so.",
    discussion: """
      Replicas that are too many finish their requests first, the one with the highest number first. If a new \
      one does not become ready, the others stay, and it is tried again until llmos scale says otherwise.
      """
  )

  @OptionGroup var suite: SuiteOptions
  @OptionGroup var patience: Patience

  @Argument(
    help: ArgumentHelp(
      "The service and how many of it, such as inference=3.",
      valueName: "service=number"
    ),
    transform: { try ReplicaCount(parsing: $0) }
  )
  var count: ReplicaCount

  func run() async throws {
    let change = try SuiteChange(suite)
    let service = count.service
    let wanted = ServiceInstance.all(of: service, count: count.count)
    try change.request { $0.set(count) }
    try await change.wait(patience) { description in
      let desired = try change.desired().count(of: service)
      guard desired == count.count else {
        throw SupervisionError(
          .changeFailed,
          "another llmos scale has asked for \(service.rawValue)=\(desired) meanwhile"
        )
      }
      let late = wanted.filter { description[$0]?.isReady != true }
      let surplus = description.processes(of: service).map(\.instance).filter {
        !wanted.contains($0)
      }
      return .init(starting: late, ending: surplus)
    }
    let noun = wanted.count == 1 ? "replica" : "replicas"
    Output.line("\(service.rawValue) has \(wanted.count) \(noun) (after \(change.time))")
  }
}

/// `llmos drain`: fresh processes in the place of running ones.
struct Drain: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Ends a process after its requests have finished; a fresh one takes its place.",
    discussion: """
      A replica such as inference-2 takes no more requests, finishes those it has, and ends; the other replicas \
      take its share until the fresh process is ready. The name of a service stands for its replicas, one after \
      another; if there is one alone, another stands in for it. A service that is one process is away for the \
      moment between: the gateway refuses connections, without any of the others requests that need it fail. \
      Requests that have not finished within 30 seconds (other services than inference: 10) are ended.
      """
  )

  @OptionGroup var suite: SuiteOptions
  @OptionGroup var patience: Patience

  @Argument(help: "The process or service, such as inference-2, inference or tokenizer.")
  var name: String

  func run() async throws {
    for instance in try instances(in: try suite.running()) {
      try await replace(instance, try SuiteChange(suite))
    }
  }

  private func instances(in description: SuiteDescription) throws -> [ServiceInstance] {
    if let service = Service(rawValue: name) {
      return ServiceInstance.all(of: service, count: description.replicas[service] ?? 1)
    }
    guard let instance = ServiceInstance(name), description[instance] != nil else {
      let names = description.processes.map { "\($0.instance)" }.joined(separator: ", ")
      throw ValidationError("no process of the suite is called '\(name)'; there are \(names)")
    }
    return [instance]
  }

  private func replace(_ instance: ServiceInstance, _ change: SuiteChange) async throws {
    // One that is gone already is being started afresh, or is not wanted any more.
    let run = change.before[instance]?.run ?? 0
    try change.request { $0.replaced[instance] = max(run, $0.replaced[instance] ?? 0) }
    try await change.wait(patience) { description in
      guard (try change.desired()).instances.contains(instance) else {
        throw SupervisionError(
          .changeFailed,
          "an llmos scale has taken \(instance) away meanwhile"
        )
      }
      guard let process = description[instance] else { return .init(starting: [instance]) }
      if process.run <= run {
        // It stays until another takes requests.
        let others = description.processes(of: instance.service).filter { $0.instance != instance }
        let isAlone = !others.contains(where: \.isReady)
        return .init(starting: isAlone ? others.map(\.instance) : [], ending: [instance])
      }
      return .init(starting: process.isReady ? [] : [instance])
    }
    Output.line("\(instance) was replaced (after \(change.time))")
  }
}

/// How long a command waits.
struct Patience: ParsableArguments {
  @Option(help: ArgumentHelp("How long to wait for each change.", valueName: "seconds"))
  var timeout: Int = 120

  func validate() throws {
    guard (1...86_400).contains(timeout) else {
      throw ValidationError("--timeout \(timeout): from 1 to 86400 seconds are possible")
    }
  }
}
