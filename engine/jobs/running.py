"""The job at work, and who hears of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from engine.jobs.journal import ATTEMPT_SPAN
from engine.jobs.records import Job, Result

log = logging.getLogger("easel.jobs")


class Listener(Protocol):
    """Called in the event loop; must be quick and not raise. `job` is the record as it was when the events happened."""

    def on_events(self, job: Job, result: Result, batch: list[dict[str, Any]], previews: Sequence[bytes]) -> None:
        """Events in order; `result` is what they and those before came to. A `preview` event's picture is in `previews` at its `part`."""

    def on_queue(self, remaining: int) -> None:
        """The number of jobs that wait or run has changed."""

    def on_over(self, job: Job) -> None:
        """The job is over and its result can be read."""


class Listeners(list[Listener]):
    def tell(self, call: Callable[[Listener], None]) -> None:
        """One that fails keeps no other from hearing."""
        for listener in list(self):
            try:
                call(listener)
            except Exception:
                log.exception("A listener failed")


class Running:
    """The job at work, and what its events have told so far.

    taken: the worker has begun with it. giving_way: it was asked to stop at its next step, to go on later. ending: it is over or its
    process is gone, and the store is just being told.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.result = Result()
        self.sequence = job.attempt * ATTEMPT_SPAN
        self.done = 0
        self.total = job.total
        self.progress: dict[str, tuple[float, float]] = {}
        self.taken = False
        self.cancelled = False
        self.ending = False
        self.giving_way: Literal["", "preempted", "paused"] = ""

    def add(self, batch: Sequence[dict[str, Any]]) -> None:
        for event in batch:
            self.result.add(event)
            self.sequence = event["sequence"]
            match event["type"]:
                case "job_started":
                    self.total = event["total"]
                case "node_started":
                    self.progress[event["node_id"]] = (0, 1)
                case "node_progress":
                    self.progress[event["node_id"]] = (event["value"], event["total"])
                case "node_finished" | "node_failed":
                    self.done += 1
                    self.progress.pop(event["node_id"], None)

    def to_json(self) -> dict[str, Any]:
        nodes = {node: {"value": value, "total": total} for node, (value, total) in self.progress.items()}
        asked = "cancelled" if self.cancelled else self.giving_way
        return {"done": self.done, "total": self.total, "nodes": nodes, "stopping": asked}
