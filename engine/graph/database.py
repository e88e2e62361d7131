"""Opening the engine's own SQLite files: they hold what can be computed again, so a damaged one is put aside and a new one started."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

log = logging.getLogger("easel.cache")


def open_database(path: Path, schema: str) -> sqlite3.Connection:
    """A connection for use from any thread under the owner's lock, with the tables of `schema` there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _open(path, schema)
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.damaged")  # the last one only: they would come together
        log.warning("%s cannot be used (%s); it is kept as %s", path, error, aside.name)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        os.replace(path, aside)
        return _open(path, schema)


def _open(path: Path, schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=10)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(schema)
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("its pages are damaged")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
