import Databases

/// The tables.
enum JobSchema {
  /// The schema's history; a released migration is never edited.
  static let migrations = [
    StoreMigration(
      "1 jobs, attempts, events and metrics",
      sql: """
        CREATE TABLE job (
          number INTEGER PRIMARY KEY AUTOINCREMENT,
          id TEXT NOT NULL UNIQUE,
          idempotency_key TEXT UNIQUE,
          request TEXT NOT NULL,
          specification TEXT NOT NULL,
          model TEXT NOT NULL,
          state TEXT NOT NULL
            CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
          error TEXT NOT NULL DEFAULT '',
          cancel_requested INTEGER NOT NULL DEFAULT 0,
          created_at_ms INTEGER NOT NULL,
          started_at_ms INTEGER,
          ended_at_ms INTEGER,
          not_before_ms INTEGER NOT NULL DEFAULT 0,
          failures INTEGER NOT NULL DEFAULT 0,
          progress TEXT NOT NULL,
          result_model TEXT,
          metrics TEXT NOT NULL DEFAULT '{}',
          reports TEXT NOT NULL DEFAULT '[]',
          cursor INTEGER NOT NULL DEFAULT 0,
          step_stride INTEGER NOT NULL DEFAULT 1
        ) STRICT;
        CREATE INDEX job_state ON job (state, number);
        CREATE INDEX job_model ON job (model, number);
        CREATE TABLE attempt (
          job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
          number INTEGER NOT NULL CHECK (number > 0),
          outcome TEXT NOT NULL
            CHECK (outcome IN ('running', 'succeeded', 'failed', 'cancelled', 'interrupted')),
          started_at_ms INTEGER NOT NULL,
          ended_at_ms INTEGER,
          message TEXT NOT NULL DEFAULT '',
          PRIMARY KEY (job, number)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE event (
          job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
          cursor INTEGER NOT NULL,
          time_ms INTEGER NOT NULL,
          attempt INTEGER NOT NULL,
          kind TEXT NOT NULL,
          body TEXT NOT NULL,
          PRIMARY KEY (job, cursor)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE step_metric (
          job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
          step INTEGER NOT NULL,
          loss REAL,
          learning_rate REAL,
          gradient_norm REAL,
          tokens_per_second REAL,
          PRIMARY KEY (job, step)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE evaluation_metric (
          job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
          name TEXT NOT NULL,
          step INTEGER NOT NULL,
          value REAL,
          PRIMARY KEY (job, name, step)
        ) STRICT, WITHOUT ROWID;
        """
    )
  ]
}
