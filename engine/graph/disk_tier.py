"""The disk tier of the cache: results that are dear enough to outlive the process, bounded in bytes.

One SQLite file holds an entry per digest: a JSON payload with the plain values, and the name of a tensor file for the rest. Both have a
checksum that is verified on every read; what does not match is dropped and counts as absent. Writing happens in a thread of its own.
"""

from __future__ import annotations

import hashlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from engine.errors import EaselError, Unstorable
from engine.graph import stored_form
from engine.graph.database import open_database
from engine.graph.items import Result
from engine.whole_files import replacing

log = logging.getLogger("easel.cache")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    digest BLOB PRIMARY KEY, payload BLOB NOT NULL, payload_sum BLOB NOT NULL, file TEXT, file_bytes INTEGER NOT NULL DEFAULT 0,
    file_sum BLOB, used REAL NOT NULL, pinned INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID
"""
_QUEUE_LIMIT = 10_000


class TensorStore(Protocol):
    """Writes and reads files of named tensors; the only part of the store that knows what a tensor is."""

    def write(self, path: Path, tensors: Mapping[str, Any]) -> None:
        """Write a new file, complete and closed on return. Raises OSError, or Unstorable for what is no tensor."""

    def read(self, data: bytes) -> dict[str, Any]:
        """The tensors of a file with this content. Raises ValueError."""


class _Put(NamedTuple):
    digest: bytes
    result: Result
    types: tuple[str, ...]
    pinned: bool = False
    held_seconds: float = 0.0


class DiskTier:
    """`limit` and `bytes` are bytes of payloads and tensor files together.

    Entries that are held (`replace`), until their time is over, and those that are pinned leave only when all others have left and they
    alone are over the limit; the pinned ones last.
    """

    def __init__(self, folder: Path, tensors: TensorStore | None = None, *, limit: int = 20 << 30, minimum_seconds: float = 0.05) -> None:
        self.folder = folder
        self.limit = limit
        self.minimum_seconds = minimum_seconds
        self.damaged = 0
        self._tensors = tensors
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._database = open_database(folder / "cache.sqlite", _SCHEMA)
        self._sizes: dict[bytes, int] = dict(self._database.execute("SELECT digest, length(payload) + file_bytes FROM entries"))
        self.bytes = sum(self._sizes.values())
        self._sweep()
        self._touched: dict[bytes, float] = {}
        self._queue: queue.Queue[_Put | Callable[[], None] | None] = queue.Queue()
        self._writer = threading.Thread(target=self._write_all, name="easel-cache-writer", daemon=True)
        self._writer.start()

    def __len__(self) -> int:
        return len(self._sizes)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._sizes

    # -- reading

    def load(self, digest: bytes) -> Result | None:
        """The stored result, or None when there is none or it is damaged (it is dropped then)."""
        return self._load(digest, set())

    def shown(self, digest: bytes) -> Result | None:
        """As `load`, but only what the node showed and its files; no tensor is read."""
        row = self._row(digest)
        return None if row is None else self._decoded(digest, lambda: stored_form.decode_shown(row[0]))

    def _load(self, digest: bytes, open_digests: set[bytes]) -> Result | None:
        row = self._row(digest)
        if row is None or digest in open_digests:
            return None
        inner = open_digests | {digest}
        return self._decoded(digest, lambda: stored_form.decode(row[0], self._read_file(*row[1:]), lambda other: self._load(other, inner)))

    def _row(self, digest: bytes) -> tuple[bytes, str | None, int, bytes | None] | None:
        if digest not in self._sizes:
            return None
        try:
            with self._lock:
                row = self._database.execute(
                    "SELECT payload, payload_sum, file, file_bytes, file_sum FROM entries WHERE digest = ?", (digest,)
                ).fetchone()
        except sqlite3.DatabaseError as error:
            log.warning("The cache index %s cannot be read: %s", self.folder, error)
            return None
        if row is None:
            return None
        payload, payload_sum, *file = row
        if not isinstance(payload, bytes) or _sum(payload) != payload_sum:
            self._drop_damaged(digest, "the payload does not match its checksum")
            return None
        self._touched[digest] = time.time()
        return (payload, *file)

    def _decoded(self, digest: bytes, decode: Callable[[], Result]) -> Result | None:
        try:
            return decode()
        except stored_form.Gone:
            self.remove([digest])
            return None
        except (stored_form.Damaged, OSError, ValueError, EaselError) as error:
            self._drop_damaged(digest, str(error))
            return None

    def _read_file(self, file: str | None, size: int, file_sum: bytes | None) -> Mapping[str, Any]:
        if file is None:
            return {}
        if self._tensors is None:
            raise stored_form.Damaged("no tensor store to read it with")
        data = (self.folder / file).read_bytes()
        if len(data) != size:
            raise stored_form.Damaged(f"{file} has {len(data)} bytes instead of {size}")
        if hashlib.sha256(data).digest() != file_sum:
            raise stored_form.Damaged(f"{file} does not match its checksum")
        return self._tensors.read(data)  # these very bytes: what is done to the file from now on changes nothing

    def _drop_damaged(self, digest: bytes, reason: str) -> None:
        self.damaged += 1
        log.warning("A cached value is damaged and will be computed again: %s", reason)
        self.remove([digest])

    # -- writing

    def put(self, digest: bytes, result: Result, types: tuple[str, ...], *, pinned: bool = False) -> None:
        """Store a result soon. A value that cannot be stored is left out; under a backlog so are further ones."""
        if (digest not in self._sizes or pinned) and self._queue.qsize() < _QUEUE_LIMIT:
            self._queue.put(_Put(digest, result, types, pinned))

    def replace(self, digest: bytes, result: Result, types: tuple[str, ...], *, held_seconds: float) -> None:
        """Store a result now, held for a time, in place of what is there, which stays if this fails. Raises Unstorable, OSError."""
        self._insert(_Put(digest, result, types, held_seconds=held_seconds))

    def remove_once_stored(self, digest: bytes, stored: bytes) -> None:
        """Remove an entry as soon as another one, which was put before, is on the disk; if it could not be stored, not at all."""

        def remove() -> None:
            if stored in self._sizes:
                self.remove([digest])

        self._queue.put(remove)

    def remove(self, digests: Iterable[bytes]) -> None:
        with self._lock:
            for digest in digests:
                size = self._sizes.pop(digest, None)
                if size is None:
                    continue
                self.bytes -= size
                row = self._database.execute("SELECT file FROM entries WHERE digest = ?", (digest,)).fetchone()
                self._database.execute("DELETE FROM entries WHERE digest = ?", (digest,))
                if row is not None and row[0] is not None:
                    _unlink(self.folder / row[0])
            self._database.commit()

    def clear(self) -> None:
        self.flush()
        self.remove(list(self._sizes))

    def flush(self) -> None:
        """Wait until everything that was put is on the disk."""
        done = threading.Event()
        self._queue.put(done.set)
        done.wait()

    def close(self) -> None:
        self.flush()
        self._queue.put(None)
        self._writer.join()
        with self._lock:
            self._save_touched()
            self._database.close()

    def _write_all(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                if isinstance(task, _Put):
                    self._write(task)
                else:
                    task()
            except Unstorable:
                continue
            except Exception as error:  # noqa: BLE001  (a pack's codec may raise anything; the values of other nodes must still be kept)
                log.warning("A value could not be cached on disk: %s: %s", type(error).__name__, error)

    def _write(self, task: _Put) -> None:
        if task.digest in self._sizes:
            if task.pinned:
                with self._lock:
                    self._database.execute("UPDATE entries SET pinned = 1 WHERE digest = ?", (task.digest,))
                    self._database.commit()
            return
        self._insert(task)

    def _insert(self, task: _Put) -> None:
        digest, result, types, pinned, held_seconds = task
        payload, tensors = stored_form.encode(result, types, self._sizes.__contains__, digest)
        file = self._write_file(digest, tensors) if tensors else (None, 0, None)
        size = len(payload) + file[1]
        row = (digest, payload, _sum(payload), *file, time.time() + held_seconds, int(pinned))
        with self._lock:
            old = self._database.execute("SELECT file FROM entries WHERE digest = ?", (digest,)).fetchone()
            try:
                self._database.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
                self._database.commit()
            except sqlite3.Error as error:  # such as a full disk: what was there stays
                self._database.rollback()
                if file[0] is not None:
                    _unlink(self.folder / file[0])
                raise OSError(f"The disk cache cannot be written: {error}") from error
            self.bytes += size - self._sizes.get(digest, 0)
            self._sizes[digest] = size
            if old is not None and old[0] is not None:
                _unlink(self.folder / old[0])
            if self.bytes > self.limit:
                self._evict()

    def _write_file(self, digest: bytes, tensors: Mapping[str, Any]) -> tuple[str, int, bytes]:
        if self._tensors is None:
            raise Unstorable("There is no tensor store.")
        name = f"{digest.hex()[:2]}/{digest.hex()}-{time.time_ns():x}.safetensors"  # never over a file that an entry names
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as part:
            self._tensors.write(part, tensors)
            size, file_sum = part.stat().st_size, _file_sum(part)
            if size > self.limit:
                raise Unstorable(f"A value of {size} bytes is larger than the whole disk cache.")
        return name, size, file_sum

    def _evict(self) -> None:
        """Down to nine tenths of the limit, least recently used first; held and pinned entries last, and no further than to the limit."""
        self._save_touched()
        rows = self._database.execute("SELECT digest, length(payload) + file_bytes, used, pinned FROM entries ORDER BY pinned, used")
        now, left, leaving = time.time(), self.bytes, []
        for digest, size, used, pinned in rows:
            if left <= (self.limit if used > now or pinned else self.limit * 9 // 10):
                break
            leaving.append(digest)
            left -= size
        self.remove(leaving)

    def _save_touched(self) -> None:
        touched, self._touched = self._touched, {}
        rows = [(used, digest) for digest, used in touched.items()]
        self._database.executemany("UPDATE entries SET used = max(used, ?) WHERE digest = ?", rows)
        self._database.commit()

    def _sweep(self) -> None:
        """Remove files that no entry names: what a crash left between writing a file and committing its entry."""
        known = {file for (file,) in self._database.execute("SELECT file FROM entries WHERE file IS NOT NULL")}
        for path in self.folder.glob("??/*"):
            if path.relative_to(self.folder).as_posix() not in known:
                _unlink(path)


def _sum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _file_sum(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # Windows keeps a mapped file; the next start sweeps it
        log.info("%s stays until the next start: %s", path, error)
