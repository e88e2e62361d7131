"""What a run tells the world, in order. Plain data: the worker sends it over a pipe, the server turns it into each protocol's messages.

Every event carries the job, a sequence number (per job, from 1) and the time in seconds; the executor fills these in when it emits.
Node ids are the ids of the flat graph; `display_id` is the submitted node to highlight
(it differs inside a run-time expansion).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

GAVE_WAY = "gave_way"
"""How a run ended that stopped at a step because it was asked to: nothing is lost, and it goes on when it is run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    kind: ClassVar[str] = "event"
    droppable: ClassVar[bool] = False  # under pressure only these may be left out

    job_id: str = ""
    sequence: int = 0
    time: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {"type": self.kind, **{f.name: getattr(self, f.name) for f in fields(self)}}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStarted(Event):
    kind = "job_started"
    attempt: int = 1
    total: int = 0  # nodes that may run


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesCached(Event):
    """Nodes of the wanted part whose values are there already; sent once, after `JobStarted`."""

    kind = "nodes_cached"
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvent(Event):
    node_id: str = ""
    display_id: str = ""
    parent_id: str | None = None  # the node whose expansion made this one


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted(NodeEvent):
    kind = "node_started"
    class_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProgress(NodeEvent):
    kind = "node_progress"
    droppable = True
    value: float = 0
    total: float = 1
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(NodeEvent):
    """An encoded picture of work in progress."""

    kind = "preview"
    droppable = True
    mime: str = "image/jpeg"
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFinished(NodeEvent):
    """`ui` is what an output node shows (JSON: file records, texts), else None. `reason` is why the node ran or did not."""

    kind = "node_finished"
    cached: bool = False
    reason: str = ""
    seconds: float = 0.0
    ui: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFailedEvent(NodeEvent):
    kind = "node_failed"
    class_type: str = ""
    error: dict[str, Any] | None = None  # EaselError.to_json()
    exception_type: str = ""
    traceback: tuple[str, ...] = ()
    inputs: dict[str, Any] | None = None  # short texts of the values it was called with


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBlocked(NodeEvent):
    """A node was not called because a value that it needs is blocked with a message."""

    kind = "node_blocked"
    class_type: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom(NodeEvent):
    """Something that a node emits for its own front end (`Context.emit`)."""

    kind = "custom"
    name: str = ""
    data: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInterrupted(Event):
    """The job stopped before its end. `state` is queued (it will go on or be tried again), paused or parked."""

    kind = "job_interrupted"
    state: str = "queued"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFinished(Event):
    """`state` is one of succeeded, failed, cancelled; from a worker also GAVE_WAY, of which clients hear as JobInterrupted."""

    kind = "job_finished"
    state: str = "succeeded"
    error: dict[str, Any] | None = None
    ran: int = 0
    cached: int = 0
    failed: int = 0
