"""Files that appear whole or not at all: written beside their place under a hidden name, and moved there at once."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PART = re.compile(r"\.[0-9a-f]{16}\.part.*", re.DOTALL)
_ONCE = re.compile(r"\.upload-[0-9a-f]{16}|[0-9a-f]{64}\.part")
"""What earlier versions called uploads, and the entries and pictures that trainings prepare."""


def part_in(folder: Path, suffix: str = "") -> Path:
    """A new name for a file that is being written: hidden, and short, as names have a limit."""
    return folder / f".{secrets.token_hex(8)}.part{suffix}"


def is_part(name: str) -> bool:
    """Whether `part_in` makes such names, or did."""
    return (_PART.fullmatch(name) or _ONCE.fullmatch(name)) is not None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what `path` is to hold: it takes the place of what is there when the block ends. If that raises, nothing changes.

    A process that is killed in between leaves the part, which the server sweeps away.
    """
    part = part_in(path.parent, path.suffix)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
