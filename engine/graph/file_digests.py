"""SHA-256 of files, kept by (device, inode, size, time), so that a file of gigabytes is read once."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
import time
from pathlib import Path

from engine.graph.database import open_database

log = logging.getLogger("easel.files")

_SETTLED_NS = 2_000_000_000  # a file written more recently may change again under the same time stamp
_CREATE = """CREATE TABLE IF NOT EXISTS file_digests (
    device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (device, inode)
) STRICT, WITHOUT ROWID"""
_MOST_ROWS = 100_000
_DEAR_BYTES = 64 << 20
"""When there are too many rows, those of smaller files go: they are quickly read again."""


class FileDigests:
    """Digests in one SQLite file; several processes and threads may use it."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._file = file

    def digest(self, path: Path) -> str:
        """`sha256:` and 64 hexadecimal digits. Raises OSError when the file cannot be read."""
        before = path.stat()
        known = self._find(before)
        if known is not None:
            return known
        with path.open("rb") as file:
            found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            after = os.fstat(file.fileno())
        if _key(before) == _key(after) and after.st_mtime_ns < time.time_ns() - _SETTLED_NS:
            self._keep(after, found)
        return found

    def known(self, path: Path) -> str | None:
        """The digest if it was made before; the file is not read."""
        return self._find(path.stat())

    def _find(self, stat: os.stat_result) -> str | None:
        query = "SELECT digest FROM file_digests WHERE device = ? AND inode = ? AND size = ? AND mtime_ns = ?"
        try:
            with self._lock:
                row = self._open().execute(query, _key(stat)).fetchone()
        except sqlite3.Error as error:
            log.warning("Digests of files cannot be looked up: %s", error)
            return None
        return row[0] if row else None

    def _keep(self, stat: os.stat_result, digest: str) -> None:
        """What cannot be kept, as on a full disk, is computed again the next time."""
        try:
            with self._lock, self._open() as database:
                database.execute("INSERT OR REPLACE INTO file_digests VALUES (?, ?, ?, ?, ?)", (*_key(stat), digest))
        except sqlite3.Error as error:
            log.warning("The digest of a file cannot be kept: %s", error)

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = open_database(self._file, _CREATE)
            if self._database.execute("SELECT count(*) FROM file_digests").fetchone()[0] > _MOST_ROWS:
                with self._database:
                    self._database.execute("DELETE FROM file_digests WHERE size < ?", (_DEAR_BYTES,))
        return self._database

    def close(self) -> None:
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None


def _key(stat: os.stat_result) -> tuple[int, int, int, int]:
    """SQLite keeps signed 64-bit numbers; some file systems use all 64 bits of an inode."""
    return _signed(stat.st_dev), _signed(stat.st_ino), stat.st_size, stat.st_mtime_ns


def _signed(number: int) -> int:
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number
