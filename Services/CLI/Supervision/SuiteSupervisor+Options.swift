package import SystemPackage

extension SuiteSupervisor {
  /// What a suite is started with.
  package struct Options: Sendable {
    /// Where the suite keeps its files.
    package var layout: SuiteLayout
    /// The folder of the services' executables.
    package var executables: FilePath
    /// A folder of model folders to import at start.
    package var demoModels: FilePath?
    /// The ports each service asks for; of replicas, the first.
    package var ports: [Service: ServicePorts]
    /// Further arguments of some services.
    package var arguments: [Service: [String]] = [:]
    /// How many processes of each service there are at first.
    package var desired = DesiredState()

    /// Options with the default ports.
    package init(layout: SuiteLayout, executables: FilePath, demoModels: FilePath?) {
      self.layout = layout
      self.executables = executables
      self.demoModels = demoModels
      ports = Dictionary(uniqueKeysWithValues: Service.allCases.map { ($0, $0.defaultPorts) })
    }
  }
}

extension SuiteSupervisor.Options {
  /// How a process is run, where `ports` are those that each process got, this one in its last run among them.
  func process(
    _ instance: ServiceInstance,
    ports: [ServiceInstance: ServicePorts],
    desired: DesiredState
  ) -> ServiceProcess {
    let service = instance.service
    var arguments = askedPorts(instance, last: ports[instance]).arguments
    arguments += ["--ports.file", layout.portsFile(instance).string, "--supervised"]
    arguments += ["--shutdown.grace", "\(service.drainGrace.components.seconds)s"]
    for (peer, option) in service.peers {
      arguments += ["--\(option)", "127.0.0.1:\(ports[ServiceInstance(peer)]?.rpc ?? 0)"]
    }
    switch service {
    case .data:
      arguments += ["--data.dir", layout.data.string]
      if let demoModels { arguments += ["--demo.models", demoModels.string] }
    case .training: arguments += ["--training.dir", layout.training.string]
    case .inference: arguments += ["--compute.replicas", "\(desired.count(of: .inference))"]
    case .gateway: arguments += ["--inference.addresses", "file:\(layout.addresses.string)"]
    case .tokenizer: break
    }
    arguments += self.arguments[service] ?? []
    return ServiceProcess(
      executable: executables.appending(service.executable),
      arguments: arguments,
      log: layout.logFile(instance),
      grace: service.drainGrace
    )
  }

  /// The ports of its last run; else those that were asked for.
  ///
  /// Nobody relies on the ports of a replica: where one is not free, the system chooses.
  private func askedPorts(_ instance: ServiceInstance, last: ServicePorts?) -> ServicePorts {
    let asked = ports[instance.service] ?? instance.service.defaultPorts
    guard instance.service.isReplicated else { return last ?? asked }
    let first = instance.number == 1 ? asked : asked.chosenBySystem
    return (last ?? first).freeOrChosenBySystem
  }
}
