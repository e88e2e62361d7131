"""The events of jobs, for a client that comes back and asks for what it missed. State changes only: progress and previews are not kept.

Numbers grow within a job; each attempt begins at its own thousand million, so that they keep growing when a process died with unsaved ones.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from engine.graph.wire import dump_json
from engine.jobs.records import Job
from engine.jobs.store import JobStore

ATTEMPT_SPAN = 1_000_000_000
SAVE_SECONDS = 0.5
DROPPABLE = frozenset({"node_progress", "preview"})


def event_row(events: list[dict[str, Any]], encoded: bytes | None = None) -> tuple[int, int, bytes]:
    """Events as the store keeps them: the first and the last number, and their JSON."""
    return events[0]["sequence"], events[-1]["sequence"], encoded if encoded is not None else dump_json(events)


@dataclass
class _Unsaved:
    job: Job
    rows: list[tuple[int, int, bytes]] = field(default_factory=list)


class Journal:
    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._unsaved: dict[str, _Unsaved] = {}
        self._changed: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        self._saver: asyncio.Task[None] | None = None

    def add(self, job: Job, events: list[dict[str, Any]], encoded: bytes | None = None) -> None:
        """`encoded` is the JSON of `events` where the caller has it already."""
        kept = [event for event in events if event["type"] not in DROPPABLE]
        if not kept:
            return
        self._unsaved.setdefault(job.id, _Unsaved(job)).rows.append(event_row(kept, encoded if len(kept) == len(events) else None))
        self._notify(job.id)
        if self._saver is None or self._saver.done():
            self._saver = asyncio.create_task(self._save_later())

    def unsaved(self, job_id: str) -> list[tuple[int, int, bytes]]:
        """What is not saved yet, for a caller that saves it with the end of the job and then calls `saved`."""
        return list(self._unsaved[job_id].rows) if job_id in self._unsaved else []

    def saved(self, job_id: str) -> None:
        self._unsaved.pop(job_id, None)
        self._notify(job_id)

    async def read(self, job: Job, after: int = 0) -> list[dict[str, Any]]:
        """Events with a number greater than `after`, in order."""
        unsaved = [row[2] for row in self.unsaved(job.id)]  # before the others: what is saved meanwhile is then there twice, not never
        rows = await self._store.events(job, after)
        events = {event["sequence"]: event for data in (*rows, *unsaved) for event in json.loads(data)}
        return [event for number, event in sorted(events.items()) if number > after]

    def watch(self, job_id: str) -> asyncio.Event:
        """Set by the next event of the job; kept by those who wait for it. Ask for it before reading what is there, so that nothing falls
        in between."""
        return self._changed.setdefault(job_id, asyncio.Event())

    async def _save_later(self) -> None:
        await asyncio.sleep(SAVE_SECONDS)
        await self.save()

    async def save(self) -> None:
        for job_id, unsaved in list(self._unsaved.items()):
            count = len(unsaved.rows)
            await self._store.add_events(unsaved.job, unsaved.rows[:count])
            del unsaved.rows[:count]
            if not unsaved.rows and self._unsaved.get(job_id) is unsaved:
                del self._unsaved[job_id]

    async def close(self) -> None:
        if self._saver is not None:
            self._saver.cancel()
        await self.save()

    def _notify(self, job_id: str) -> None:
        event = self._changed.pop(job_id, None)
        if event is not None:
            event.set()
