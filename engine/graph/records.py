"""Why each node of each run ran or did not: kept in SQLite, written in batches by a thread of its own.

Beside the records of the latest runs it keeps, per workflow, the last recipe of every node, so that the next run can say what changed.
"""

from __future__ import annotations

import json
import logging
import queue
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine.graph.database import open_database

log = logging.getLogger("easel.cache")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL, time REAL NOT NULL, records BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS batches_of_job ON batches (job_id);
CREATE TABLE IF NOT EXISTS recipes (workflow TEXT PRIMARY KEY, time REAL NOT NULL, nodes BLOB NOT NULL) WITHOUT ROWID;
"""
KEPT_BATCHES = 2_000
KEPT_WORKFLOWS = 500


class Record(NamedTuple):
    """What became of one node in one run. `reason` is a text such as "hit disk" or "input steps changed 20 -> 25"; `digest` is hex.

    memory: the most bytes in use while it computed on the device; None where that was not measured.
    """

    node_id: str
    display_id: str
    class_type: str
    reason: str
    cached: bool
    seconds: float
    digest: str
    memory: int | None = None

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def records_path(state: Path) -> Path:
    """Where the records of a data folder lie; `state` is its folder of that name."""
    return state / "records.sqlite"


class RecordStore:
    """path: the SQLite file; without one nothing is kept after the process ends."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._database = open_database(path, _SCHEMA) if path is not None else _in_memory()
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._writer: threading.Thread | None = None

    def append(self, job_id: str, records: Iterable[Record]) -> None:
        """Keep a batch of a job's records soon."""
        rows = list(records)
        if rows:
            self._later(lambda: self._insert(job_id, rows))

    def remember(self, workflow: str, recipes: Callable[[], dict[str, list[Any]]]) -> None:
        """Keep the recipes of a run as the workflow's last ones; they are made in the writing thread."""
        self._later(lambda: self._replace(workflow, recipes()))

    def last(self, workflow: str) -> dict[str, list[Any]]:
        """The last recipe of every node of a workflow, by node id."""
        self.flush()
        with self._lock:
            row = self._database.execute("SELECT nodes FROM recipes WHERE workflow = ?", (workflow,)).fetchone()
        return {} if row is None else _unpack(row[0], {})

    def of_job(self, job_id: str) -> list[Record]:
        """A job's records in the order in which its nodes ended."""
        self.flush()
        with self._lock:
            return [record for batch in self._batches_of(job_id) for record in batch]

    def forget_jobs(self, job_ids: Iterable[str]) -> list[bytes]:
        """Delete the records of jobs; returns the digests that no other job's records name. One pass, however many jobs."""
        self.flush()
        gone = set(job_ids)
        with self._lock, self._database:
            own = {record.digest for job_id in gone for batch in self._batches_of(job_id) for record in batch}
            self._database.executemany("DELETE FROM batches WHERE job_id = ?", [(job_id,) for job_id in gone])
            for (blob,) in self._database.execute("SELECT records FROM batches") if own else ():
                own.difference_update(Record(*fields).digest for fields in _unpack(blob, []))
        return [bytes.fromhex(digest) for digest in sorted(own)]

    def _batches_of(self, job_id: str) -> Iterator[list[Record]]:
        for (blob,) in self._database.execute("SELECT records FROM batches WHERE job_id = ? ORDER BY number", (job_id,)):
            yield [Record(*fields) for fields in _unpack(blob, [])]

    def flush(self) -> None:
        if self._writer is not None:
            done = threading.Event()
            self._queue.put(done.set)
            done.wait()

    def close(self) -> None:
        if self._writer is not None:
            self._queue.put(None)
            self._writer.join()
            self._writer = None
        with self._lock:
            self._database.close()

    def _later(self, task: Callable[[], None]) -> None:
        if self._writer is None:
            self._writer = threading.Thread(target=self._write_all, name="easel-record-writer", daemon=True)
            self._writer.start()
        self._queue.put(task)

    def _write_all(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                task()
            except Exception as error:  # noqa: BLE001  (a writer that ended would let every run wait for it)
                log.warning("The records of a run could not be kept: %s: %s", type(error).__name__, error)

    def _insert(self, job_id: str, records: list[Record]) -> None:
        blob = _pack(records)
        with self._lock, self._database:
            cursor = self._database.execute("INSERT INTO batches (job_id, time, records) VALUES (?, ?, ?)", (job_id, time.time(), blob))
            self._database.execute("DELETE FROM batches WHERE number <= ?", ((cursor.lastrowid or 0) - KEPT_BATCHES,))

    def _replace(self, workflow: str, recipes: dict[str, list[Any]]) -> None:
        blob = _pack(recipes)
        with self._lock, self._database:
            self._database.execute("INSERT OR REPLACE INTO recipes VALUES (?, ?, ?)", (workflow, time.time(), blob))
            oldest = "SELECT workflow FROM recipes ORDER BY time DESC LIMIT -1 OFFSET ?"
            self._database.execute(f"DELETE FROM recipes WHERE workflow IN ({oldest})", (KEPT_WORKFLOWS,))  # noqa: S608  (a constant)


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(_SCHEMA)
    return connection


def _pack(value: Any) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)


def _unpack(blob: bytes, default: Any) -> Any:
    try:
        return json.loads(zlib.decompress(blob))
    except (zlib.error, ValueError, TypeError):
        return default
