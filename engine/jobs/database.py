"""SQLite in write-ahead mode with one thread that writes and one that reads, so that no request ever waits on a lock in the event loop."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from engine.errors import DatabaseError
from engine.jobs.migrations import STEPS

T = TypeVar("T")


class Database:
    """Functions given to `read` and `write` get a connection and run in that thread; `write` is one transaction, on disk at return."""

    def __init__(self, path: Path, steps: tuple[str, ...] = STEPS) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write_connection = _connect(path)
        try:
            _migrate(self._write_connection, path, steps)
            self._read_connection = _connect(path)
            self._read_connection.execute("PRAGMA query_only = ON")
        except BaseException:
            self._write_connection.close()
            raise
        self._writer = ThreadPoolExecutor(1, "jobs-writer")
        self._reader = ThreadPoolExecutor(1, "jobs-reader")

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._transaction, work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, work, self._read_connection)

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._write_connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result

    def close(self) -> None:
        """Wait for what was already given, then close."""
        self._writer.shutdown()
        self._reader.shutdown()
        self._read_connection.close()
        self._write_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._write_connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise DatabaseError(f"{path} is no job database: {error}", hint="Move it away; a new one is made at the next start.") from error
    return connection


def _migrate(connection: sqlite3.Connection, path: Path, steps: tuple[str, ...]) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(steps):
        raise DatabaseError(
            f"{path} was written by a newer Easel (schema {version}, this one knows {len(steps)})",
            hint="Start the newer Easel, or use another data folder.",
        )
    if 0 < version < len(steps):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copyfile(path, path.with_name(f"{path.name}.schema-{version}"))
    for number, step in enumerate(steps[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {step}; PRAGMA user_version = {number}; COMMIT;")
