"""Which model file has a SHA-256: what is known of it at once, what is not when a thread has read the files."""

from __future__ import annotations

import logging
import queue
import threading

from engine.errors import EaselError
from engine.graph.folders import Folders

log = logging.getLogger("easel.server")


class ModelSearch:
    """Files are read only when somebody asked for it, one at a time and beside everything else; what was read once is known for ever."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._asked: set[tuple[str, str]] = set()
        self._unreadable: set[tuple[str, str]] = set()
        self._queue: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def known(self, folder: str, name: str) -> str:
        """`sha256:` and 64 hexadecimal digits; empty for a file that is not there or was not read yet."""
        try:
            return self._folders.known_digest(folder, name) or ""
        except (OSError, EaselError):
            return ""

    def find(self, folder: str, sha256: str, *, read: bool) -> tuple[list[str], int]:
        """Names of the files whose SHA-256 begins like this, and how many are not known yet. read: have those read."""
        names, left = [], 0
        for name in self._folders.list(folder) if folder != "diffusers" else ():  # a model there is a folder, and has no digest of its own
            digest = self.known(folder, name)
            if digest.startswith(sha256):
                names.append(name)
            elif not digest and (folder, name) not in self._unreadable:
                left += 1
                if read:
                    self._ask(folder, name)
        return names, left

    def _ask(self, folder: str, name: str) -> None:
        with self._lock:
            if (folder, name) in self._asked:
                return
            self._asked.add((folder, name))
            if self._thread is None:  # a daemon: a file of gigabytes must not keep a server from stopping
                self._thread = threading.Thread(target=self._read, name="model digests", daemon=True)
                self._thread.start()
        self._queue.put((folder, name))

    def _read(self) -> None:
        while True:
            folder, name = self._queue.get()
            try:
                self._folders.digest(folder, name)
            except (OSError, EaselError) as error:
                log.warning("%s in %s cannot be read: %s", name, folder, error)
                self._unreadable.add((folder, name))
            with self._lock:
                self._asked.discard((folder, name))
