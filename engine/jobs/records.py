"""What a job is made of: what a client asks for, the record that every answer is made from, and what a run left behind."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import Any

from engine.graph.wire import dump_json
from engine.jobs.states import State


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A validated request.

    prompt: the flat API graph that history shows and savers embed, as JSON; graph: the same for the worker (`encode_graph`).
    digest: of the request's body, tells a repeated request from another one with the same id. number: explicit priority, lower runs
    first; front: before everything that waits. extra: what the client sent along (`extra_data`), as JSON.
    preemptible: it makes way for jobs that are not.
    """

    id: str
    prompt: bytes
    graph: bytes
    targets: tuple[str, ...]
    total: int
    client_id: str = ""
    extra: bytes = b"{}"
    digest: str = ""
    number: float | None = None
    front: bool = False
    preemptible: bool = False


@dataclass(frozen=True, kw_only=True)
class Job:
    """`number` is the priority, unique to no one; `row` is the order of submission; times are seconds since the epoch.

    attempt counts starts, crashes those that ended with the death of a process.
    """

    row: int
    id: str
    number: float
    state: State
    attempt: int
    crashes: int
    client_id: str
    digest: str
    targets: tuple[str, ...]
    total: int
    created: float
    started: float | None
    finished: float | None
    reason: str
    preemptible: bool = False

    @property
    def order(self) -> tuple[bool, float, int]:
        """Jobs that make way for others come after them, whatever their numbers."""
        return self.preemptible, self.number, self.row

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "number": self.number,
            "state": self.state.value,
            "attempt": self.attempt,
            "crashes": self.crashes,
            "client_id": self.client_id,
            "targets": list(self.targets),
            "total": self.total,
            "created": self.created,
            "started": self.started,
            "finished": self.finished,
            "reason": self.reason,
            "preemptible": self.preemptible,
        }


@dataclass(frozen=True)
class Body:
    """The large parts of a job, read only where they are needed. `graph` is gone once the job is over for good."""

    prompt: bytes
    extra: bytes
    graph: bytes | None


@dataclass
class Result:
    """What a run left behind, gathered from its events (why each node ran or did not is in the worker's records).

    cached: nodes that were there already; executed: nodes that finished, kept only for a run that did not succeed; ui: what each output
    node shows; places: (display id, parent id) of nodes of a run-time expansion that show something; last, last_type: the node that
    began last, and its class.
    """

    cached: list[str] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)
    ui: dict[str, dict[str, Any]] = field(default_factory=dict)
    places: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    blocked: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] | None = None
    last: str | None = None
    last_type: str | None = None

    def add(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "node_finished":
                node = event["node_id"]
                self.executed.append(node)
                if event["ui"] is not None:
                    self.ui[node] = event["ui"]
                    if event["parent_id"] is not None:
                        self.places[node] = (event["display_id"] or node, event["parent_id"])
            case "node_started":
                self.last, self.last_type = event["node_id"], event.get("class_type")
            case "nodes_cached":
                self.cached += event["nodes"]
            case "node_failed":
                self.failures.append({name: value for name, value in event.items() if name not in ("type", "job_id")})
            case "node_blocked":
                self.blocked.append({"node_id": event["node_id"], "message": event["message"], "time": event["time"]})
            case "job_finished":
                self.error = event["error"]
                if event["state"] == "succeeded":
                    self.executed = []

    def dump(self) -> bytes:
        return zlib.compress(dump_json(vars(self)), 1)

    @classmethod
    def load(cls, data: bytes) -> Result:
        return cls(**json.loads(zlib.decompress(data)))
