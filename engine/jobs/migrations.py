"""The steps of the job database's schema. Step N brings a database from version N-1 to N; a step that was released never changes."""

from __future__ import annotations

STEPS: tuple[str, ...] = (
    """
    CREATE TABLE jobs (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        number REAL NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'interrupted', 'parked', 'succeeded', 'failed', 'cancelled')),
        attempt INTEGER NOT NULL DEFAULT 0,
        crashes INTEGER NOT NULL DEFAULT 0,
        client_id TEXT NOT NULL DEFAULT '',
        body_digest TEXT NOT NULL DEFAULT '',
        targets TEXT NOT NULL,
        total INTEGER NOT NULL,
        created REAL NOT NULL,
        started REAL,
        finished REAL,
        reason TEXT NOT NULL DEFAULT '',
        completion INTEGER
    );
    CREATE INDEX jobs_by_state ON jobs (state, number, row);
    CREATE INDEX jobs_by_completion ON jobs (completion) WHERE completion IS NOT NULL;
    CREATE TABLE job_bodies (
        row INTEGER PRIMARY KEY REFERENCES jobs (row) ON DELETE CASCADE,
        prompt BLOB NOT NULL,
        extra BLOB NOT NULL,
        graph BLOB
    );
    CREATE TABLE job_results (
        row INTEGER PRIMARY KEY REFERENCES jobs (row) ON DELETE CASCADE,
        result BLOB NOT NULL
    );
    CREATE TABLE job_events (
        row INTEGER NOT NULL REFERENCES jobs (row) ON DELETE CASCADE,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        events BLOB NOT NULL,
        PRIMARY KEY (row, first)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE jobs ADD COLUMN preemptible INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE queue (paused INTEGER NOT NULL);
    INSERT INTO queue VALUES (0);
    CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;
    """,
    """
    ALTER TABLE jobs ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
    UPDATE jobs SET bytes = (SELECT length(prompt) + length(extra) FROM job_bodies WHERE job_bodies.row = jobs.row)
        + coalesce((SELECT sum(length(events)) FROM job_events WHERE job_events.row = jobs.row), 0) WHERE completion IS NOT NULL;
    CREATE INDEX jobs_by_age ON jobs (completion, bytes) WHERE completion IS NOT NULL;
    """,
)
