"""One process at a time on a data folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from engine.address import find_server
from engine.errors import Conflict

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt


class DataLock:
    """Held while the object is open; the operating system lets go of it when the process dies. Raises Conflict when another holds it."""

    def __init__(self, data: Path) -> None:
        path = data / "state" / "lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] = path.open("a+", encoding="utf-8")
        try:
            _lock(self._file)
        except OSError as error:
            self._file.close()
            url = find_server(data)
            raise Conflict(
                f"Another Easel{f' at {url}' if url else ''} works in {data}",
                hint="Use that one, end it, or give another folder with --data.",
            ) from error

    def close(self) -> None:
        self._file.close()


def _lock(file: IO[str]) -> None:
    if os.name == "posix":
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
