"""The memory tier of the cache: results by digest, bounded in bytes, the cheapest to make again per byte leaving first.

Eviction is GreedyDual-Size (Cao and Irani, 1997): an entry's priority is the clock plus seconds per byte, renewed on every use; the lowest
leaves, and the clock moves up to it. So equal entries leave in order of use, and a costly small one outlives a cheap large one.
"""

from __future__ import annotations

import heapq
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from engine.graph.items import Result

OVERHEAD = 1_000  # bytes of bookkeeping per entry, measured
_SCALARS = (int, float, bool, type(None))
_MAX_OBJECTS = 100_000


class MemoryTier:
    """Safe to use from several threads. `limit` and `bytes` are bytes; storage that entries share is counted once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._lock = threading.Lock()
        self._entries: dict[bytes, _Entry] = {}
        self._buffers: dict[int, list[int]] = {}  # address -> [entries that hold it, bytes]
        self._heap: list[tuple[float, int, bytes]] = []
        self._clock = 0.0
        self._counter = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._entries

    def get(self, digest: bytes) -> Result | None:
        with self._lock:
            entry = self._entries.get(digest)
            if entry is None:
                return None
            self._rank(digest, entry)
            return entry.result

    def put(self, digest: bytes, result: Result) -> None:
        """Keep a result, unless it alone is larger than the tier; older entries leave to make room."""
        own, buffers = measure(result)
        size = own + sum(buffers.values())
        if size > self.limit:
            return
        with self._lock:
            self._remove(digest)
            entry = _Entry(result, own, tuple(buffers), (result.seconds + 1e-6) / max(size, 1))
            self._entries[digest] = entry
            self.bytes += own
            for address, length in buffers.items():
                held = self._buffers.setdefault(address, [0, length])
                if held[0] == 0:
                    self.bytes += length
                held[0] += 1
            self._rank(digest, entry)
            while self.bytes > self.limit:
                self._evict()

    def remove(self, digest: bytes) -> None:
        with self._lock:
            self._remove(digest)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._buffers.clear()
            self._heap.clear()
            self.bytes = 0

    def _rank(self, digest: bytes, entry: _Entry) -> None:
        self._counter += 1
        entry.turn = self._counter
        heapq.heappush(self._heap, (self._clock + entry.worth, self._counter, digest))
        if len(self._heap) > 2 * len(self._entries) + 200:
            self._heap = [item for item in self._heap if self._is_current(item)]
            heapq.heapify(self._heap)

    def _is_current(self, item: tuple[float, int, bytes]) -> bool:
        entry = self._entries.get(item[2])
        return entry is not None and entry.turn == item[1]

    def _evict(self) -> None:
        while self._heap:
            item = heapq.heappop(self._heap)
            if self._is_current(item):
                self._clock = item[0]
                self._remove(item[2])
                return

    def _remove(self, digest: bytes) -> None:
        entry = self._entries.pop(digest, None)
        if entry is None:
            return
        self.bytes -= entry.own
        for address in entry.buffers:
            held = self._buffers[address]
            held[0] -= 1
            if held[0] == 0:
                self.bytes -= held[1]
                del self._buffers[address]


class _Entry:
    __slots__ = ("buffers", "own", "result", "turn", "worth")

    def __init__(self, result: Result, own: int, buffers: tuple[int, ...], worth: float) -> None:
        self.result = result
        self.own = own
        self.buffers = buffers
        self.worth = worth
        self.turn = 0


def measure(result: Result) -> tuple[int, dict[int, int]]:
    """The size of a result: bytes of its own, and the large buffers it refers to as address -> bytes.

    What has `nbytes` counts by it (tensors and arrays; a tensor by its whole storage, which a view keeps alive);
    other objects count by what their attributes hold.
    """
    own = OVERHEAD
    buffers: dict[int, int] = {}
    waiting: list[Any] = [item.value for items in result.outputs for item in items]
    seen: set[int] = set()
    while waiting and len(seen) < _MAX_OBJECTS:
        value = waiting.pop()
        if type(value) in _SCALARS:
            own += 32
        elif isinstance(value, str | bytes | bytearray):
            own += sys.getsizeof(value)
        elif id(value) not in seen:
            seen.add(id(value))
            buffer = _buffer(value)
            if buffer is not None:
                buffers[buffer[0]] = buffer[1]
            else:
                own += 64
                waiting.extend(_held(value))
    return own, buffers


def _buffer(value: Any) -> tuple[int, int] | None:
    storage = getattr(value, "untyped_storage", None)
    if callable(storage):
        try:
            found = storage()
            return found.data_ptr() or id(value), found.nbytes()
        except (RuntimeError, NotImplementedError):  # meta and sparse tensors have none
            return id(value), 0
    size = getattr(value, "nbytes", None)
    return (id(value), size) if isinstance(size, int) else None


def _held(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif not isinstance(value, type):
        yield from getattr(value, "__dict__", {}).values()
        for cls in type(value).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(value, name):
                    yield getattr(value, name)
