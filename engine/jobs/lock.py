"""One process at a time on a data folder, and where the others find it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any

from engine.errors import Conflict

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

LOCK = "lock"
ADDRESS = "server.json"


class DataLock:
    """Held while the object is open; the operating system lets go of it when the process dies. Raises Conflict when another holds it."""

    def __init__(self, state: Path) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self._state = state
        self._file: IO[str] = open(state / LOCK, "a+", encoding="utf-8")  # noqa: SIM115 (kept open: it is the lock)
        try:
            _lock(self._file)
        except OSError as error:
            self._file.close()
            address = read_address(state)
            where = f" at {address['url']}" if address else ""
            raise Conflict(
                f"Another Easel{where} works in {state.parent}",
                hint="Use that one, end it, or give another folder with --data.",
            ) from error
        self._file.truncate(0)

    def publish(self, url: str) -> None:
        """Tell other processes of this machine where the server listens."""
        temporary = self._state / f"{ADDRESS}.new"
        temporary.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")
        temporary.replace(self._state / ADDRESS)

    def close(self) -> None:
        (self._state / ADDRESS).unlink(missing_ok=True)
        self._file.close()


def read_address(state: Path) -> dict[str, Any] | None:
    """Where the server of a data folder listens ({"url", "pid"}); None when no server told."""
    try:
        address = json.loads((state / ADDRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return address if isinstance(address, dict) and isinstance(address.get("url"), str) else None


def _lock(file: IO[str]) -> None:
    if os.name == "posix":
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
