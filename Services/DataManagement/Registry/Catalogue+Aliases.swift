import Databases
import GRDB
import Store

/// What happened to an alias.
package struct AliasChange: Sendable, Equatable {
  /// Why it moved.
  package enum Action: String, Sendable {
    /// A version was promoted.
    case promote
    /// A move was taken back.
    case rollback
    /// It was set or removed by hand.
    case set
    /// A version was registered, and the alias given to the one before.
    case register
  }

  /// The alias.
  package let alias: String
  /// Where it points since; nil if it was removed.
  package let version: UInt32?
  /// Where it pointed before; nil if it was not there.
  package let previous: UInt32?
  /// Why.
  package let action: Action
  /// Milliseconds since 1970-01-01 UTC.
  package let atMilliseconds: Int64
}

extension Catalogue {
  /// Where an alias points; nil if it is not there.
  func target(_ database: Database, of alias: String, of model: String) throws -> UInt32? {
    try UInt32.fetchOne(
      database,
      sql: "SELECT version FROM model_alias WHERE model = ? AND alias = ?",
      arguments: [model, alias]
    )
  }

  /// Points an alias at a version, or removes it, and writes that down; nothing if it is there already.
  ///
  /// - Parameters:
  ///   - database: of a transaction.
  ///   - alias: the alias.
  ///   - model: the model's name.
  ///   - version: the new target; nil removes the alias.
  ///   - previous: what it meant before, if it was not there.
  ///   - action: why.
  ///   - historyMax: changes of one alias that are kept.
  /// - Throws: what the database says.
  func move(
    _ database: Database,
    _ alias: String,
    of model: String,
    to version: UInt32?,
    impliedPrevious previous: UInt32? = nil,
    _ action: AliasChange.Action,
    historyMax: Int
  ) throws {
    let current = try target(database, of: alias, of: model)
    guard current != version else { return }
    if let version {
      try database.execute(
        sql: """
          INSERT INTO model_alias (model, alias, version) VALUES (?, ?, ?)
          ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version
          """,
        arguments: [model, alias, version]
      )
    } else {
      try database.execute(
        sql: "DELETE FROM model_alias WHERE model = ? AND alias = ?",
        arguments: [model, alias]
      )
    }
    try database.execute(
      sql: """
        INSERT INTO alias_change (model, alias, version, previous, action, at_ms)
        VALUES (?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        model, alias, version, current ?? (previous == version ? nil : previous),
        action.rawValue, WallClock.milliseconds(),
      ]
    )
    try database.execute(
      sql: """
        DELETE FROM alias_change WHERE model = ?1 AND alias = ?2 AND sequence <= (
          SELECT sequence FROM alias_change WHERE model = ?1 AND alias = ?2
          ORDER BY sequence DESC LIMIT 1 OFFSET ?3
        )
        """,
      arguments: [model, alias, historyMax]
    )
  }

  /// The changes of a model's aliases, or of one, the oldest first.
  func history(
    _ database: Database,
    of model: String,
    alias: String? = nil
  ) throws -> [AliasChange] {
    try Row.fetchAll(
      database,
      sql: """
        SELECT * FROM alias_change WHERE model = ?1 AND (?2 IS NULL OR alias = ?2)
        ORDER BY sequence
        """,
      arguments: [model, alias]
    ).map { row in
      AliasChange(
        alias: row["alias"],
        version: row["version"],
        previous: row["previous"],
        action: AliasChange.Action(rawValue: row["action"]) ?? .set,
        atMilliseconds: row["at_ms"]
      )
    }
  }
}

extension [AliasChange] {
  /// Where the alias pointed before the last change that was not taken back yet; nil if there is none.
  ///
  /// The changes are a stack: each one but a rollback pushes its target, a rollback pops.
  var rollbackTarget: UInt32? {
    var stack: [UInt32?] = []
    for change in self {
      if stack.isEmpty { stack.append(change.previous) }
      if change.action == .rollback {
        if stack.count > 1 { stack.removeLast() }
        // Where older changes are not kept any more.
        if stack.last != change.version { stack.append(change.version) }
      } else {
        // While the alias was removed, a bare name meant another version.
        if let last = stack.last, last == nil { stack[stack.count - 1] = change.previous }
        stack.append(change.version)
      }
    }
    return stack.count > 1 ? stack[stack.count - 2] : nil
  }
}
