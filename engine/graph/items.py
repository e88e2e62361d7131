"""What travels along links: items with keys, and the result of a node.

Every output slot carries a tuple of items. An item's key names its value for ever: equal keys mean equal values. It is the digest of the
call that made the value, the slot, and for one of a series its position; a value that a node merely passes on keeps the key it came with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

DIGEST_BYTES = 16


class Item(NamedTuple):
    value: Any
    key: bytes


class FileStamp(NamedTuple):
    """A file that an output node wrote: `root` is input, output or temp, `name` the path below it. Unaltered while both numbers hold."""

    root: str
    name: str
    size: int
    mtime_ns: int


class Result:
    """The outputs of a node (one tuple of items per slot), what it shows, the files it wrote, and the seconds that making it took."""

    __slots__ = ("files", "outputs", "seconds", "ui")

    def __init__(
        self,
        outputs: tuple[tuple[Item, ...], ...],
        *,
        ui: dict[str, Any] | None = None,
        files: tuple[FileStamp, ...] = (),
        seconds: float = 0.0,
    ) -> None:
        self.outputs = outputs
        self.ui = ui
        self.files = files
        self.seconds = seconds


def item_key(digest: bytes, slot: int) -> bytes:
    """The key of the single value of a slot."""
    return digest + slot.to_bytes(2, "big")


def series_key(digest: bytes, slot: int, position: int) -> bytes:
    return digest + slot.to_bytes(2, "big") + position.to_bytes(4, "big")


def split_key(key: bytes) -> tuple[bytes, int, int] | None:
    """Digest, slot and position (0 for a single value) of a key that a node made; None for a key of another kind."""
    if len(key) not in (DIGEST_BYTES + 2, DIGEST_BYTES + 6):
        return None
    slot = int.from_bytes(key[DIGEST_BYTES : DIGEST_BYTES + 2], "big")
    return key[:DIGEST_BYTES], slot, int.from_bytes(key[DIGEST_BYTES + 2 :], "big")
