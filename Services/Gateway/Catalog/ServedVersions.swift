/// Which version answers each name that requests have used.
///
/// A name that comes to mean another version keeps the one before until `adopt` says that the services have the new
/// one. Names that say a version are not kept: they mean one for ever.
struct ServedVersions: Sendable {
  /// Most names.
  static let namesMax = 1024

  private var models: [String: Model] = [:]

  /// The version that answers `reference`, which means `target`.
  mutating func model(_ reference: String, target: Model) -> Model {
    if let model = models[reference], model.pinned != target.pinned { return model }
    // A name that says a version never means another one.
    guard reference != target.pinned else { return target }
    if models.count >= Self.namesMax, models[reference] == nil { models.removeAll() }
    models[reference] = target
    return target
  }

  /// The versions that names mean and that do not answer them yet, each once.
  func successors(in list: ModelList) -> [Model] {
    var successors: [String: Model] = [:]
    for (reference, model) in models {
      if let target = list[reference], target.pinned != model.pinned {
        successors[target.pinned] = target
      }
    }
    return Array(successors.values)
  }

  /// Lets a version that is loaded answer the names that mean it.
  mutating func adopt(_ target: Model, in list: ModelList) {
    for reference in models.keys where list[reference]?.pinned == target.pinned {
      models[reference] = target
    }
  }

  /// Forgets names, and versions, that are not there any more.
  mutating func forget(missingFrom list: ModelList) {
    models = models.filter { list[$0.key] != nil && list[$0.value.pinned] != nil }
  }
}
