/// One step of the schema's history; a released one is never edited.
package struct StoreMigration: Sendable {
  /// Its name in the database; unique among all modules that share it.
  package let name: String
  /// The statements.
  package let sql: String

  /// A migration from its statements.
  package init(_ name: String, sql: String) {
    self.name = name
    self.sql = sql
  }
}
