import Databases
import GRDB
package import Store

/// One model: its versions, and what its aliases were.
package struct RegisteredModel: Sendable {
  /// By version.
  package let versions: [ModelVersion]
  /// Where its aliases point.
  package let aliases: [AliasTarget]
  /// The changes of all its aliases, the newest first.
  package let history: [AliasChange]
}

/// Where an alias points.
package struct AliasTarget: Sendable, Equatable {
  /// The model.
  package let name: String
  /// The alias.
  package let alias: String
  /// The version; 0 if the alias was removed.
  package let version: UInt32
  /// The version's digest.
  package let digest: String
  /// Whether this is the version a bare name means for want of the alias `production`.
  package let isImplied: Bool
}

extension ModelRegistry {
  /// Points an alias at a version, or removes it, and returns the version it points at, or pointed at.
  ///
  /// - Parameters:
  ///   - alias: as a name, but not a number.
  ///   - name: the model.
  ///   - version: the version to point at; nil removes the alias.
  /// - Returns: the version, with its aliases after the change.
  /// - Throws: `invalidArgument`, `notFound`, `resourceExhausted` beyond `aliasesMax`.
  package func setAlias(
    _ alias: String,
    of name: String,
    to version: UInt32?
  ) async throws(DataError) -> ModelVersion {
    try ModelReference.validateName(name)
    try ModelReference.validateAlias(alias)
    return try await changeAlias(alias, of: name) { registry, database in
      guard let version else {
        let target = try registry.catalogue.resolve(
          database,
          ModelReference(parsing: "\(name)@\(alias)")
        )
        try registry.move(database, alias, of: name, to: nil, .set)
        return target.version
      }
      _ = try registry.catalogue.resolve(database, ModelReference(parsing: "\(name)@\(version)"))
      try registry.move(database, alias, of: name, to: version, .set)
      return version
    }
  }

  /// Points an alias at the version a reference means; a bare name means its newest version.
  ///
  /// - Parameters:
  ///   - reference: `name`, `name@version` or `name@alias`.
  ///   - alias: the alias to move.
  /// - Returns: the version, with its aliases after the change.
  /// - Throws: as `setAlias`.
  package func promote(
    _ reference: String,
    as alias: String = ModelReference.productionAlias
  ) async throws(DataError) -> ModelVersion {
    let reference = try ModelReference(parsing: reference)
    try ModelReference.validateAlias(alias)
    return try await changeAlias(alias, of: reference.name) { registry, database in
      let catalogue = registry.catalogue
      let versions = try catalogue.versions(database, of: reference.name)
      let version =
        if case .standard = reference.selector, let newest = versions.last {
          newest
        } else {
          try catalogue.resolve(database, reference)
        }
      try registry.move(
        database,
        alias,
        of: reference.name,
        to: version.version,
        // What a bare name meant until now, so that a rollback finds it.
        impliedPrevious: alias == ModelReference.productionAlias ? versions.last?.version : nil,
        .promote
      )
      return version.version
    }
  }

  /// Points an alias back to where it pointed before the last change that was not taken back yet.
  ///
  /// - Parameters:
  ///   - name: the model.
  ///   - alias: the alias to move.
  /// - Returns: the version it points at now, with its aliases.
  /// - Throws: `notFound`, `failedPrecondition` if there is nothing to go back to.
  package func rollback(
    _ name: String,
    alias: String = ModelReference.productionAlias
  ) async throws(DataError) -> ModelVersion {
    try ModelReference.validateName(name)
    try ModelReference.validateAlias(alias)
    return try await changeAlias(alias, of: name) { registry, database in
      let catalogue = registry.catalogue
      _ = try catalogue.resolve(database, ModelReference(parsing: name))
      let history = try catalogue.history(database, of: name, alias: alias)
      guard let target = history.rollbackTarget else {
        throw DataError(
          .failedPrecondition,
          "roll back \(name)@\(alias): it was not moved from another version before"
        )
      }
      _ = try catalogue.resolve(database, ModelReference(parsing: "\(name)@\(target)"))
      try registry.move(database, alias, of: name, to: target, .rollback)
      return target
    }
  }

  /// One model with its versions, aliases and their history; throws `notFound`.
  package func model(_ name: String) async throws(DataError) -> RegisteredModel {
    try ModelReference.validateName(name)
    let catalogue = self.catalogue
    return try await catalogue.database.read("model \(name)") { database in
      let versions = try catalogue.versions(database, of: name)
      guard !versions.isEmpty else {
        throw DataError(.notFound, "model \(name) is not registered")
      }
      return RegisteredModel(
        versions: versions,
        aliases: Self.targets(of: versions),
        history: try catalogue.history(database, of: name).reversed()
      )
    }
  }

  /// Where all aliases point, by name and alias; every model has its `production`, implied or not.
  package func aliasTargets() async throws(DataError) -> [AliasTarget] {
    let catalogue = self.catalogue
    return try await catalogue.database.read("aliases") { database in
      Self.targets(of: try catalogue.versions(database))
    }
  }

  /// The aliases of versions that are sorted by name and version.
  private static func targets(of versions: [ModelVersion]) -> [AliasTarget] {
    var newest: [String: ModelVersion] = [:]
    for version in versions { newest[version.name] = version }
    var targets = versions.flatMap { version in
      version.aliases.map { alias in
        AliasTarget(
          name: version.name,
          alias: alias,
          version: version.version,
          digest: version.digest,
          isImplied: false
        )
      }
    }
    let named = Set(targets.filter { $0.alias == ModelReference.productionAlias }.map(\.name))
    for version in newest.values where !named.contains(version.name) {
      targets.append(
        AliasTarget(
          name: version.name,
          alias: ModelReference.productionAlias,
          version: version.version,
          digest: version.digest,
          isImplied: true
        )
      )
    }
    return targets.sorted { ($0.name, $0.alias) < ($1.name, $1.alias) }
  }

  private func changeAlias(
    _ alias: String,
    of name: String,
    _ change: @escaping @Sendable (ModelRegistry, Database) throws -> UInt32
  ) async throws(DataError) -> ModelVersion {
    let aliasesMax = limits.aliasesMax
    let version = try await catalogue.database.write("alias \(name)@\(alias)") { database in
      let version = try change(self, database)
      let versions = try self.catalogue.versions(database, of: name)
      let count = versions.reduce(0) { $0 + $1.aliases.count }
      guard count <= aliasesMax else {
        throw DataError(
          .resourceExhausted,
          "alias \(name)@\(alias): the model has \(count - 1) aliases already, at most \(aliasesMax)"
        )
      }
      return try self.catalogue.resolve(database, ModelReference(parsing: "\(name)@\(version)"))
    }
    watchers.notify()
    return version
  }

  private func move(
    _ database: Database,
    _ alias: String,
    of name: String,
    to version: UInt32?,
    impliedPrevious: UInt32? = nil,
    _ action: AliasChange.Action
  ) throws {
    try catalogue.move(
      database,
      alias,
      of: name,
      to: version,
      impliedPrevious: impliedPrevious,
      action,
      historyMax: limits.aliasHistoryMax
    )
  }
}
