"""The cache of results: a memory tier in front of a disk tier. What it holds is named by digests, so nothing in it is ever out of date."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.graph.catalogue import CachePolicy, NodeInfo
from engine.graph.digest import short_hash
from engine.graph.disk_tier import DiskTier
from engine.graph.items import Item, Result, item_key
from engine.graph.memory_tier import MemoryTier
from engine.graph.records import RecordStore

STATE_SECONDS = 7 * 24 * 3600.0
"""How long after it was saved a state to go on from counts as in use; an abandoned one then leaves like any other value."""


class Cache:
    """memory_bytes bounds the memory tier. Without `disk` nothing outlives the process; without `records` no run is explained afterwards.

    store_intermediates=False keeps everything but the results of output nodes and pinned nodes off the disk.
    """

    def __init__(
        self,
        memory_bytes: int = 1 << 30,
        disk: DiskTier | None = None,
        records: RecordStore | None = None,
        *,
        store_intermediates: bool = True,
    ) -> None:
        self.memory = MemoryTier(memory_bytes)
        self.disk = disk
        self.records = records or RecordStore()
        self.store_intermediates = store_intermediates

    def where(self, digest: bytes) -> str:
        """Where a result lies: "memory", "disk" or "" for nowhere."""
        if digest in self.memory:
            return "memory"
        return "disk" if self.disk is not None and digest in self.disk else ""

    def get(self, digest: bytes) -> tuple[Result | None, str]:
        """A result with its values and the tier that had it."""
        result = self.memory.get(digest)
        if result is not None:
            return result, "memory"
        if self.disk is not None and digest in self.disk:
            result = self.disk.load(digest)
            if result is not None:
                self.memory.put(digest, result)
                return result, "disk"
        return None, ""

    def shown(self, digest: bytes) -> tuple[Result | None, str]:
        """As `get`, but a result from the disk comes without its values."""
        result = self.memory.get(digest)
        if result is not None:
            return result, "memory"
        result = self.disk.shown(digest) if self.disk is not None else None
        return result, "disk" if result is not None else ""

    def put(self, digest: bytes, result: Result, info: NodeInfo, *, pinned: bool = False) -> bool:
        """Keep a result in memory, and on disk if the node took long, is pinned or is an output node, and does not forbid it.

        Returns whether it is on its way to the disk.
        """
        self.memory.put(digest, result)
        disk = self.disk
        if disk is None or info.cache is CachePolicy.NEVER_STORE:
            return False
        if not (pinned or info.output_node or (self.store_intermediates and result.seconds >= disk.minimum_seconds)):
            return False
        disk.put(digest, result, tuple(output.type for output in info.outputs), pinned=pinned)
        return True

    def load_state(self, digest: bytes) -> Any:
        """What the call with this digest saved to go on from, or None."""
        key = _state_key(digest)
        result = self.disk.load(key) if self.disk is not None else self.memory.get(key)
        return result.outputs[0][0].value if result is not None else None

    def save_state(self, digest: bytes, state: Any) -> None:
        """Keep what a call goes on from; on the disk at return, where there is a disk tier. Raises Unstorable, OSError."""
        key = _state_key(digest)
        result = Result(((Item(state, item_key(key, 0)),),))
        if self.disk is not None:
            self.disk.replace(key, result, ("*",), held_seconds=STATE_SECONDS)
        else:
            self.memory.put(key, result)

    def drop_state(self, digest: bytes, *, stored: bytes | None = None) -> None:
        """The call is done, so what it would go on from is not needed any more.

        stored: a result on its way to the disk that holds what the call gave; until it is there the state stays.
        """
        key = _state_key(digest)
        if not self.where(key):
            return
        if stored is None or self.disk is None:
            self.remove([key])
        else:
            self.disk.remove_once_stored(key, stored)

    def remove(self, digests: Iterable[bytes]) -> None:
        digests = list(digests)
        for digest in digests:
            self.memory.remove(digest)
        if self.disk is not None:
            self.disk.remove(digests)

    def forget_jobs(self, job_ids: Iterable[str]) -> None:
        """Remove what only these jobs' nodes computed or used, and their records."""
        self.flush()
        digests = self.records.forget_jobs(job_ids)
        self.remove([*digests, *map(_state_key, digests)])

    def clear(self, *, memory: bool = True, disk: bool = False) -> None:
        if memory:
            self.memory.clear()
        if disk and self.disk is not None:
            self.disk.clear()

    def flush(self) -> None:
        """Wait until everything that is to be stored is on the disk."""
        if self.disk is not None:
            self.disk.flush()
        self.records.flush()

    def close(self) -> None:
        if self.disk is not None:
            self.disk.close()
        self.records.close()

    def stats(self) -> dict[str, Any]:
        memory = {"entries": len(self.memory), "bytes": self.memory.bytes, "limit": self.memory.limit}
        if self.disk is None:
            return {"memory": memory}
        return {
            "memory": memory,
            "disk": {"entries": len(self.disk), "bytes": self.disk.bytes, "limit": self.disk.limit, "damaged": self.disk.damaged},
        }


def _state_key(digest: bytes) -> bytes:
    return short_hash(b"state" + digest)
