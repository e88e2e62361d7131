"""Where the server of a data folder listens, for other processes of the same machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

from engine.whole_files import replacing

_FILE = Path("state", "server.json")


def publish(data: Path, url: str) -> None:
    path = data / _FILE
    with replacing(path) as part:
        part.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")


def withdraw(data: Path) -> None:
    (data / _FILE).unlink(missing_ok=True)


def find_server(data: Path) -> str | None:
    """The address that the server of this data folder last told; None when none did. It may have died since."""
    try:
        address = json.loads((data / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    url = address.get("url") if isinstance(address, dict) else None
    return url if isinstance(url, str) else None
